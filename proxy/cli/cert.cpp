// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/cert.hpp"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <ostream>

#include "config/host.hpp"
#include "config/load.hpp"
#include "config/text.hpp"
#include "proxy/cli/arguments.hpp"
#include "proxy/cli/command_line.hpp"
#include "proxy/cli/dev_files.hpp"
#include "upstream/control/exit_code.hpp"

namespace edgeproxy::cli {
namespace {

using control::ExitCode;

std::optional<std::string> variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

/// That of the file, where there is one that can be read.
std::string state_dir(const std::string& config) {
    CommandLine command;
    command.config = config;
    config::LoadOptions options;
    options.read_env_files = false;
    if (const auto file = config_file(command)) {
        const config::LoadResult loaded = config::load_file(*file, options);
        if (loaded.config) return loaded.config->server.state_dir;
    }
    return config::state_dir_for(::geteuid(), variable);
}

}  // namespace

int run_cert(std::span<const std::string> words, std::ostream& out, std::ostream& err) {
    Arguments arguments(words);
    std::string config, verb;
    while (const auto word = arguments.next()) {
        if (*word == "--help" || *word == "-h") {
            out << cert_help;
            return ExitCode::done;
        }
        if (*word == "-c" || *word == "--config") {
            config = arguments.value();
        } else if (verb.empty() && !word->starts_with('-')) {
            verb = *word;
        } else {
            arguments.complain("unexpected argument " + config::in_quotes(*word),
                               "edgeproxy cert --help tells what there is");
        }
    }
    if (arguments.complaint().empty() && verb != "trust") {
        const bool later = verb == "show" || verb == "dev";
        arguments.complain(later ? "cert " + verb + " is not supported yet" : "cert needs a command",
                           "write edgeproxy cert trust");
    }
    if (!arguments.complaint().empty()) {
        err << "edgeproxy: " << arguments.complaint() << '\n' << arguments.hint() << '\n';
        return ExitCode::usage;
    }
    const DevFiles files = dev_files(state_dir(config));
    std::string error;
    if (!make_dev_files(files, mkcert_folder(variable), std::chrono::system_clock::now(), error)) {
        err << "edgeproxy: " << error << '\n';
        return ExitCode::failed;
    }
    out << trust_words(files.authority);
    return ExitCode::done;
}

}  // namespace edgeproxy::cli
