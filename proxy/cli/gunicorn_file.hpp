// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/command.hpp"

/// What gunicorn's own file, which is a program, says at a glance. Pure.
namespace edgeproxy::cli {

/// What the last line that begins with `name =` gives it, without blanks and comment; nothing when there is none.
std::optional<std::string> assigned(std::string_view python, std::string_view name);

/// gunicorn's own file, as it was found.
struct GunicornFile {
    std::string name;
    std::string text;
    bool asked = false;  ///< the command names it; the other one is read because it lies there
};

/// What check has to say of a gunicorn whose command is known. `file` is null when there is none, or none that could be
/// read; `capacity_written`: the pool says itself how many requests a worker takes. The place is the whole command.
std::vector<config::CommandProblem> check_gunicorn(const config::CommandFacts& facts, const GunicornFile* file,
                                                   bool capacity_written);

}  // namespace edgeproxy::cli
