// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/field_table.hpp"

/// What a reload would change.
namespace edgeproxy::config {

/// One key, or one named thing (pool, route, listener, endpoint) that is there on one side only.
struct Difference {
    enum class Kind { changed, added, removed };
    Kind kind = Kind::changed;
    std::string path;           ///< "pools.web.workers", "routes.docs"; lists without names by number from 0
    std::string before, after;  ///< as one would write it, empty where there is none; secrets as `***`
    Change change = Change::live;
    bool operator==(const Difference&) const = default;
};

/// Everything in which two plans differ, in the order of the canonical form. Pure.
std::vector<Difference> compare(const Config& before, const Config& after);

/// Gives `after` the values of `before` where a reload cannot change them (`Change::restart`), and returns what was
/// kept.
std::vector<Difference> keep_fixed(const Config& before, Config& after);

/// True if workers of that pool must be replaced for `differences` to take effect.
bool must_roll(const std::vector<Difference>& differences, const std::string& pool);

/// For people, one line each: `  ~ pools.web.workers  4 -> 6`; `!` marks what needs a restart and is kept.
std::string describe(const std::vector<Difference>& differences);

}  // namespace edgeproxy::config
