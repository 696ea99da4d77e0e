// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/readiness.hpp"

#include <algorithm>

#include "proxy/admin/cells.hpp"

namespace edgeproxy::admin {
namespace {

constexpr std::string_view passed = "ok   ", failed = "fail ", aside = "-    ";

std::string pool_line(const PoolCondition& pool) {
    const bool fine = pool.ready > 0;
    std::string line{fine ? passed : pool.required ? failed : aside};
    line += "pool " + pool.name + ": " + std::to_string(pool.ready) + " of " + std::to_string(pool.endpoints) +
            " endpoints ready";
    if (!fine && !pool.required) line += " (not required)";
    if (!fine && !pool.reason.empty()) line += ", " + pool.reason;
    return line;
}

}  // namespace

std::string Readiness::text(bool verbose) const {
    std::string text;
    for (const std::string& line : lines) {
        if (verbose || line.starts_with(failed)) text.append(line).push_back('\n');
    }
    if (ready) text.append("ready\n");
    return text;
}

Readiness judge(const Conditions& conditions) {
    Readiness verdict{true, {}};
    const auto add = [&](bool fine, std::string_view good, std::string_view bad) {
        verdict.lines.push_back(std::string(fine ? passed : failed).append(fine ? good : bad));
        verdict.ready = verdict.ready && fine;
    };
    add(conditions.configured, "configuration loaded", "no configuration yet");
    add(conditions.listeners_bound, "listeners bound", "listeners not bound");
    add(!conditions.draining, "not draining", "draining");
    add(conditions.loops_turn, "event loops turn", "an event loop does not turn");
    for (const PoolCondition& pool : conditions.pools) {
        verdict.lines.push_back(pool_line(pool));
        verdict.ready = verdict.ready && (pool.ready > 0 || !pool.required);
    }
    return verdict;
}

bool loops_turn(std::span<const LaneCells* const> lanes, std::chrono::steady_clock::time_point now) {
    return std::all_of(lanes.begin(), lanes.end(),
                       [&](const LaneCells* lane) { return now - lane->last_tick() <= longest_silence; });
}

}  // namespace edgeproxy::admin
