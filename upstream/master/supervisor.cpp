// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/supervisor.hpp"

#include <signal.h>

#include "upstream/master/house.hpp"
#include "upstream/master/privilege.hpp"

namespace edgeproxy::master {
namespace {

// Before there is a loop: straight to the log's output.
void write_now(const MasterOptions& options, const config::Logging& logging, config::Log& log) {
    io::UniqueFd file = open_log(logging.output);
    Output output(file ? std::move(file) : open_log("stderr"));
    const bool json = output.wants_json(logging.format);
    log.drain([&](config::LogRecord&& record) { output.write(options.format(record, json)); });
}

}  // namespace

int run_master(const MasterOptions& options, std::shared_ptr<const config::Config> config, config::Log& log) {
    const rlimit core = lock_down();
    become_subreaper();
    ::signal(SIGPIPE, SIG_IGN);
    int exit_code = ExitCode::done;
    auto resources = Resources::acquire(*config, log, exit_code);
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
