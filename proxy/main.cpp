// SPDX-License-Identifier: Apache-2.0

// edgeproxy: `edgeproxy -c stack.yaml` is the master; it starts this same program again as the proxy process
// (`--role=proxy`), which serves the clients. Every other command looks, prints and ends.

#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/log.hpp"
#include "proxy/admin/log_lines.hpp"
#include "proxy/app.hpp"
#include "proxy/cli/ask.hpp"
#include "proxy/cli/cert.hpp"
#include "proxy/cli/check.hpp"
#include "proxy/cli/command_line.hpp"
#include "proxy/cli/dev.hpp"
#include "proxy/cli/dev_files.hpp"
#include "proxy/cli/project.hpp"
#include "proxy/cli/run.hpp"
#include "proxy/cli/words.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/control/exit_code.hpp"
#include "upstream/master/executable.hpp"
#include "upstream/master/supervisor.hpp"

namespace {

using namespace edgeproxy;
using control::ExitCode;

/// How the master begins: as itself, or with the state of the program before it in this process (an upgrade).
struct Launch {
    enum class Kind { fresh, check, resume } kind = Kind::fresh;
    int state = -1;  ///< a descriptor
    std::string program;
    std::vector<std::string> arguments;  ///< without the one about the state
};

/// Where the configuration comes from: called at the start, and for each reload in a child process.
using Load = std::function<config::LoadResult()>;

/// Options of the command line win over the file, also when it is read again. Development certificates are made where
/// they are wanted; `note` says why they could not be.
std::shared_ptr<const config::Config> complete(config::Config config, const cli::CommandLine& command,
                                               std::string& note) {
    if (command.log_level) config.logging.level = *command.log_level;
    if (command.log_format) config.logging.format = *command.log_format;
    cli::add_dev_files(config, note);
    if (!note.empty()) note += "; the development certificate is made anew at each start";
    return std::make_shared<const config::Config>(std::move(config));
}

std::string format_record(admin::LogLines& lines, const config::LogRecord& record, bool json) {
    std::string text;
    if (json) {
        lines.append_json(text, record);
    } else {
        lines.append_console(text, record, {});
    }
    return text;
}

/// `runs`: MasterOptions.
int serve(const Launch& launch, const cli::CommandLine& command, const Load& load, const std::string& name,
          const std::string& runs) {
    admin::LogLines lines;
    master::MasterOptions options;
    options.config_name = name;
    options.runs = runs;
    options.program = launch.program;
    options.arguments = launch.arguments;
    options.load = [&command, &load] {
        const config::LoadResult again = load();
        std::string why;
        auto next = again.config ? complete(*again.config, command, why) : nullptr;
        return master::Checked{std::move(next), cli::describe_problems(again) + (why.empty() ? "" : why + "\n")};
    };
    options.format = [&lines](const config::LogRecord& record, bool json) {
        return format_record(lines, record, json);
    };
    if (launch.kind == Launch::Kind::check) return master::check_state(options, io::UniqueFd{launch.state}, std::cout);
    if (launch.kind == Launch::Kind::resume) {
        config::Log log{config::LogLevel::info};
        return master::resume_master(options, io::UniqueFd{launch.state}, log);
    }
    const config::LoadResult loaded = load();
    if (!loaded.config) {
        std::cerr << cli::describe_problems(loaded);
        return ExitCode::bad_config;
    }
    std::string note;
    const auto config = complete(*loaded.config, command, note);
    config::Log log{config->logging.level};
    cli::log_warnings(loaded, log);
    if (!note.empty()) log.warn("dev_certificate_unkept", note);
    return master::run_master(options, config, log);
}

/// A stack.yaml that stands in no file.
int serve_text(const Launch& launch, const std::string& text, const std::string& name, bool print) {
    if (print) {
        std::cout << text;
        return ExitCode::done;
    }
    const std::string folder = std::filesystem::current_path().string();
    return serve(
        launch, {}, [&] { return cli::check_text(text, name, folder); }, name, name);
}

int complain(const std::string& complaint, const std::string& hint) {
    std::cerr << "edgeproxy: " << complaint << '\n';
    if (!hint.empty()) std::cerr << hint << '\n';
    return ExitCode::usage;
}

int dev(const Launch& launch, std::span<const std::string> words) {
    const cli::ParsedDev parsed = cli::parse_dev(words);
    if (!parsed.complaint.empty()) return complain(parsed.complaint, parsed.hint);
    const cli::DevOptions& options = parsed.options;
    if (options.help) {
        std::cout << cli::dev_help;
        return ExitCode::done;
    }
    const cli::DevPlace place = cli::DevPlace::here(options);
    std::vector<std::string> worker = options.command;
    if (worker.empty()) {
        cli::AppChoice choice = cli::choose_app(cli::Project::at(place.folder), options.target);
        if (choice.command.empty()) return complain(choice.complaint, choice.hint);
        if (!options.print_config && launch.kind == Launch::Kind::fresh)
            std::cerr << "edgeproxy dev: " << choice.reason << '\n';
        worker = std::move(choice.command);
    }
    return serve_text(launch, cli::dev_stack(options, worker, place), "edgeproxy dev", options.print_config);
}

int run_command(const Launch& launch, std::span<const std::string> words) {
    const cli::ParsedRun parsed = cli::parse_run(words);
    if (!parsed.complaint.empty()) return complain(parsed.complaint, parsed.hint);
    if (parsed.options.help) {
        std::cout << cli::run_help;
        return ExitCode::done;
    }
    const std::string text = cli::run_stack(parsed.options, std::filesystem::current_path().string());
    return serve_text(launch, text, "edgeproxy run", parsed.options.print_config);
}

int run(const Launch& launch, const cli::CommandLine& command) {
    switch (command.verb) {
        case cli::Verb::help:
            cli::print_help(std::cout);
            return ExitCode::done;
        case cli::Verb::version:
            cli::print_version(std::cout, OpenSSL_version(OPENSSL_VERSION), nghttp2_version(0)->version_str);
            return ExitCode::done;
        default:
            break;
    }
    if (cli::is_asked(command.verb)) return cli::ask(command, std::cout, std::cerr);
    const auto file = cli::config_file(command);
    if (!file) {
        std::cerr << "edgeproxy: " << cli::no_config << '\n';
        return ExitCode::usage;
    }
    switch (command.verb) {
        case cli::Verb::check:
            return cli::run_check(command, *file, std::cout);
        case cli::Verb::explain:
            return cli::run_explain(*file, std::cout, std::cerr);
        default:
            return serve(
                launch, command, [&file] { return cli::load_and_check(*file, true); }, *file,
                std::filesystem::absolute(*file).lexically_normal().string());
    }
}

/// Only a master that looks at its successor, or becomes it, says the last word about a state.
Launch launch_of(std::vector<std::string> words) {
    Launch out;
    const std::pair<std::string_view, Launch::Kind> kinds[] = {{master::check_state_option, Launch::Kind::check},
                                                               {master::resume_state_option, Launch::Kind::resume}};
    for (const auto& [option, kind] : kinds) {
        if (words.size() < 2 || !words.back().starts_with(option)) continue;
        out.kind = kind;
        out.state = std::atoi(words.back().c_str() + option.size());
        words.pop_back();
        break;
    }
    if (!words.empty()) out.program = master::own_path(words.front());
    out.arguments = std::move(words);
    return out;
}

/// Whoever starts us with a standard descriptor closed would have a socket or a log of ours take its number, and all
/// that is printed would go there.
void fill_standard_descriptors() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF || ::open("/dev/null", O_RDWR) >= 0) continue;
        std::fprintf(stderr,
                     "edgeproxy: descriptor %d is closed, and /dev/null cannot stand in for it: %s; open one of them\n",
                     fd, std::strerror(errno));
        std::_Exit(ExitCode::failed);
    }
}

}  // namespace

int main(int argc, char** argv) {
    fill_standard_descriptors();
    if (argc > 1 && argv[1] == control::proxy_role) {
        ::prctl(PR_SET_NAME, "edgeproxy");  // started from /proc/self/exe it would be called "exe"
        return proxy::run_proxy(control::Channel{io::UniqueFd{control::proxy_channel}});
    }
    const Launch launch = launch_of(std::vector<std::string>(argv, argv + argc));
    const std::vector<std::string> words(launch.arguments.begin() + (argc > 0 ? 1 : 0), launch.arguments.end());
    // These have words of their own, dev and run a command that has its own behind them.
    const std::string verb = words.empty() ? "" : words.front();
    if (verb == "dev") return dev(launch, std::span(words).subspan(1));
    if (verb == "cert") return cli::run_cert(std::span(words).subspan(1), std::cout, std::cerr);
    if (verb == "run") return run_command(launch, std::span(words).subspan(1));
    std::vector<const char*> arguments;
    for (const std::string& word : words) arguments.push_back(word.c_str());
    const cli::ParsedCommandLine parsed = cli::parse_command_line(arguments);
    if (!parsed.value) {
        return complain(parsed.complaint, parsed.hint);
    }
    return run(launch, *parsed.value);
}
