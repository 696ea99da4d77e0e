// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/supervisor.hpp"

#include <fmt/format.h>
#include <signal.h>

#include "config/load.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/executable.hpp"
#include "upstream/master/house.hpp"
#include "upstream/master/privilege.hpp"
#include "upstream/master/state.hpp"

namespace edgeproxy::master {
namespace {

// Before there is a loop: straight to the log's output.
void write_now(const MasterOptions& options, const config::Logging& logging, config::Log& log) {
    io::UniqueFd file = open_log(logging.output);
    Output output(file ? std::move(file) : open_log("stderr"));
    const bool json = output.wants_json(logging.format);
    log.drain([&](config::LogRecord&& record) { output.write(options.format(record, json)); });
}

constexpr std::size_t largest_state = 64 * 1024 * 1024;

// What the program before us left, and the configuration in it; a sentence when we cannot use them.
struct Inheritance {
    std::optional<State> state;
    std::shared_ptr<const config::Config> config;
    std::string error;
};

Inheritance read_state(const io::UniqueFd& fd) {
    Inheritance out;
    const auto bytes = control::read_sealed(fd, largest_state);
    if (!bytes) return {{}, {}, "the state cannot be read: " + bytes.error().message()};
    DecodedState decoded = decode_state(*bytes);
    if (!decoded.state) return {{}, {}, std::move(decoded.error)};
    const std::uint32_t spoken = decoded.state->control_version;
    if (spoken < control::oldest_version || spoken > control::version) {
        return {{},
                {},
                fmt::format("the proxy process speaks version {} of the control messages, this program {} to {}; "
                            "restart it instead",
                            spoken, control::oldest_version, control::version)};
    }
    config::LoadOptions load;
    load.internal = true;
    const config::LoadResult loaded = config::load_text(decoded.state->config_text, "configuration in force", load);
    if (!loaded.config) {
        return {{},
                {},
                loaded.problems.empty() ? std::string("the configuration in force does not read back")
                                        : config::headline(loaded.problems.front())};
    }
    return {std::move(decoded.state), loaded.config, {}};
}

}  // namespace

int check_state(const MasterOptions& options, io::UniqueFd fd, std::ostream& out) {
    const Inheritance left = read_state(fd);
    std::string error = left.error;
    Resources users;
    if (error.empty()) users.find_users(*left.config, error);
    if (!error.empty()) {
        out << "edgeproxy " EDGEPROXY_VERSION ": " << error << '\n';
        return ExitCode::refused;
    }
    const Checked file = options.load();
    out << file.problems;
    if (!file.config) return ExitCode::bad_config;
    out << state_accepted << EDGEPROXY_VERSION << '\n' << std::flush;
    return out ? ExitCode::done : ExitCode::failed;
}

int resume_master(const MasterOptions& options, io::UniqueFd fd, config::Log& log) {
    lock_down();  // the exec has undone the half of it
    become_subreaper();
    ::signal(SIGPIPE, SIG_IGN);
    Inheritance left = read_state(fd);
    fd.reset();
    Resources resources;
    std::string error = left.error;
    if (error.empty()) {
        keep_from_children(*left.state);
        adopt_resources(*left.state, options.runs, resources);
        if (resources.find_users(*left.config, error)) drop_capabilities(error);
    }
    if (!error.empty()) {  // the check has found nothing; what is left is ended by the guard
        log.error("upgrade_broken", "cannot go on after the upgrade: " + error);
        write_now(options, left.config ? left.config->logging : config::Logging{}, log);
        return ExitCode::failed;
    }
    log.set_level(left.config->logging.level);
    const rlimit core{left.state->core_soft, left.state->core_hard};
    House house(options, left.config, log, std::move(resources), core);
    return house.resume(*left.state);
}

int run_master(const MasterOptions& options, std::shared_ptr<const config::Config> config, config::Log& log) {
    const rlimit core = lock_down();
    become_subreaper();
    ::signal(SIGPIPE, SIG_IGN);
    int exit_code = ExitCode::done;
    auto resources = Resources::acquire(*config, options.runs, log, exit_code);
    std::string error;
    if (resources && !drop_capabilities(error)) {
        log.error("privilege", error);
        exit_code = ExitCode::cannot_bind;
    }
    if (exit_code != ExitCode::done) {
        write_now(options, config->logging, log);
        return exit_code;
    }
    House house(options, std::move(config), log, std::move(*resources), core);
    return house.run();
}

}  // namespace edgeproxy::master
