// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace edgeproxy::admin {

class LaneCells;

/// What `/readyz` asks about one pool.
struct PoolCondition {
    std::string name;
    bool required = true;
    unsigned ready = 0;  ///< endpoints that take requests now
    unsigned endpoints = 0;
    std::string reason;  ///< one line for people; may be empty
};

/// Everything that decides whether we are ready.
struct Conditions {
    bool configured = false;       ///< a configuration is in force
    bool listeners_bound = false;  ///< all of them accept
    bool draining = false;         ///< a stop was asked for
    bool loops_turn = true;        ///< see `loops_turn`
    std::vector<PoolCondition> pools;
};

/// The verdict and its grounds: one line per condition, "ok   pool web: 2 of 2 endpoints ready", "fail draining".
struct Readiness {
    bool ready = false;
    std::vector<std::string> lines;

    /// What `/readyz` says: the failed lines, all lines when `verbose`; "ready" alone when there is nothing to tell.
    std::string text(bool verbose) const;
};

Readiness judge(const Conditions& conditions);

/// `/livez`: every reactor ticked within `longest_silence` before `now`.
inline constexpr std::chrono::seconds longest_silence{5};
bool loops_turn(std::span<const LaneCells* const> lanes, std::chrono::steady_clock::time_point now);

}  // namespace edgeproxy::admin
