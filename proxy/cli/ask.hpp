// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "proxy/cli/command_line.hpp"

namespace edgeproxy::cli {

/// `server.runtime_dir` as it is written in a text that need not be valid: what `reload` needs while the file is
/// broken. Empty when it is not to be seen. Pure.
std::string written_runtime_dir(std::string_view text);

/// The control socket that a command is for: `--control`, else the one in the runtime directory of the configuration
/// (also of one that is broken just now), else in the directory that is used when none is configured.
std::string control_path(const CommandLine& command);

/// Sends a command to the running edgeproxy and prints its answer as it comes. Waits for as long as the work takes.
/// Returns the exit code that the running one gives, or exit_nobody.
int ask(const CommandLine& command, std::ostream& out, std::ostream& err);

}  // namespace edgeproxy::cli
