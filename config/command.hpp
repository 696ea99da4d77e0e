// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/problem.hpp"
#include "config/units.hpp"

/// What can be said about a worker's command without running it. Pure.
namespace edgeproxy::config {

using Argv = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

/// Splits like a POSIX shell without expansions: single and double quotes, backslash. No shell is run.
Parsed<Argv> split_command(std::string_view text);

/// Which server the command starts: by program name or by `-m module`, through paths, `python`, `env` and the run
/// commands of package tools (poetry, uv, pipenv, pdm, hatch). `generic` when it is none that we know.
Kind kind_of(const Argv& argv);

/// The place of the server's own arguments in `argv`: behind the program or module.
std::size_t arguments_of(const Argv& argv);

/// What the command and its environment tell about the server.
struct CommandFacts {
    bool sync_worker = false;           ///< gunicorn with one request at a time
    std::optional<unsigned> threads;    ///< gunicorn's --threads, when above 1
    std::optional<Duration> keepalive;  ///< how long the server keeps idle connections, when the command says it
    std::optional<std::string> worker_class, config_file;  ///< gunicorn's -k and -c
    std::optional<Bind> placeholder_bind;                  ///< what {socket}, {fd} or {port} ask for
};
CommandFacts look_at(const Argv& argv, const Environment& environment, Kind kind);

/// What a worker's socket is when nothing is written: the placeholder's, else the kind's.
Bind default_bind(Kind kind, const CommandFacts& facts);

/// Something in a command that would go wrong. `word` is the index in argv; the whole command when it is argv.size().
struct CommandProblem {
    Severity severity = Severity::error;
    std::size_t word = 0;
    std::string rule, text, hint;
};
std::vector<CommandProblem> check_command(const Argv& argv, const Environment& environment, Kind kind, Bind bind);

/// The names of the placeholders, without braces.
std::span<const std::string_view> placeholders();

}  // namespace edgeproxy::config
