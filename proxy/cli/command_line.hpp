// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace edgeproxy::cli {

/// From `status` on: asked of the running edgeproxy, over its control socket.
enum class Verb { serve, check, explain, version, help, status, reload, restart, scale, drain, undrain, stop, upgrade };
inline bool is_asked(Verb verb) {
    return verb >= Verb::status;
}
enum class CheckFormat { human, headlines, json };

/// What was asked for. Values of the command line win over those of the file.
struct CommandLine {
    Verb verb = Verb::serve;
    std::string config;  ///< -c FILE as written; empty = find_config decides
    CheckFormat format = CheckFormat::human;
    bool files = true;    ///< check: look at certificates, users, programs, directories
    bool strict = false;  ///< check: warnings fail
    std::optional<config::LogLevel> log_level;
    std::optional<config::LogFormat> log_format;
    std::string control;                      ///< path of the control socket; empty = by the configuration
    bool json = false;                        ///< status
    bool dry_run = false;                     ///< reload
    bool now = false;                         ///< stop
    std::string pool;                         ///< restart, scale, drain, undrain
    std::string worker;                       ///< written POOL/WORKER; empty = the whole pool
    unsigned count = 0;                       ///< scale
    std::optional<config::Duration> timeout;  ///< reload, restart, upgrade: the longest wait for the verdict

    bool operator==(const CommandLine&) const = default;
};

/// Either a command line, or what is wrong with it (ExitCode::usage): one sentence, and what was probably meant.
struct ParsedCommandLine {
    std::optional<CommandLine> value;
    std::string complaint;
    std::string hint;  ///< may be empty
};

/// `arguments` are those behind the program's name. Options may stand before and behind the command; `--name value` and
/// `--name=value` are the same. What later versions bring is answered "not supported yet". Pure.
ParsedCommandLine parse_command_line(std::span<const char* const> arguments);

/// Where the configuration is when -c was not given: `$EDGEPROXY_CONFIG`, `./stack.yaml`, `/etc/edgeproxy/stack.yaml`:
/// the first that is set or exists. Empty when there is none.
std::optional<std::string> find_config(const std::function<std::optional<std::string>(const std::string&)>& environment,
                                       const std::function<bool(const std::string&)>& exists);

/// The same for this process: the file of the command line, else the one found. Empty: say `no_config`.
std::optional<std::string> config_file(const CommandLine& command);
inline constexpr std::string_view no_config =
    "no configuration: name one with -c FILE, or put it where it is looked for: $EDGEPROXY_CONFIG, ./stack.yaml, "
    "/etc/edgeproxy/stack.yaml";

}  // namespace edgeproxy::cli
