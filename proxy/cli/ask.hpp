// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "proxy/cli/command_line.hpp"
#include "upstream/control/holder.hpp"

namespace edgeproxy::cli {

/// `server.runtime_dir` as it is written in a text that need not be valid: what `reload` needs while the file is
/// broken. Empty when it is not to be seen. Pure.
std::string written_runtime_dir(std::string_view text);

/// Whom a command is for.
struct Addressee {
    std::string socket;    ///< the control socket; empty: `problems`
    std::string file;      ///< -c FILE: what must run there; empty: whatever runs there
    std::string problems;  ///< why FILE does not tell where its edgeproxy is; whole lines
};

/// `--control`, else the control socket in the runtime directory of the configuration (also of one that is broken just
/// now, as long as its structure is to be seen), else in the directory that is used when none is configured.
Addressee find_addressee(const CommandLine& command);

/// Why the one that holds the lock is not the one that -c FILE means; empty when it is, or does not say what it runs.
std::string not_meant(const control::Holder& holder, const Addressee& wanted);

/// Sends a command to the running edgeproxy and prints its answer as it comes. Waits for as long as the work takes.
/// Returns the ExitCode that the running one gives; `nobody` when none runs, or only one with another file than
/// -c names; `bad_config` when that file does not tell where; `undecided` when its verdict takes longer than
/// --timeout.
int ask(const CommandLine& command, std::ostream& out, std::ostream& err);

}  // namespace edgeproxy::cli
