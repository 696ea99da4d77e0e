// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/config.hpp"
#include "tls/io/clock.hpp"

namespace edgeproxy::upstream {

/// Failures of real requests in a row at one endpoint, counted by all reactors together. A success begins anew, and so
/// does a streak whose first failure is older than the window. Any thread; a success costs one load.
class FailureStreak {
 public:
    void succeed() {
        if (word_.load(std::memory_order_relaxed) != 0) word_.store(0, std::memory_order_relaxed);
    }
    /// Counts one. True when this is the one that fills the streak (`policy.failures` within `policy.window`): exactly
    /// one caller sees it, and the count begins anew.
    bool fail(io::TimePoint now, const config::Outlier& policy);
    unsigned length() const { return static_cast<unsigned>(word_.load(std::memory_order_relaxed) & count_mask); }

 private:
    // bits 0..15 how many | 16..63 when the first was, in milliseconds
    static constexpr std::uint64_t count_mask = 0xffff;
    std::atomic<std::uint64_t> word_{0};
};

/// What a pool looks like to the decisions below. Leaving endpoints (draining, down for good) are not counted.
struct PoolCensus {
    std::size_t members = 0;
    std::size_t ready = 0;    ///< of them, those in state ready, ejected or not
    std::size_t ejected = 0;  ///< of the ready ones, those ejected
};

/// True when one more endpoint may be ejected: never more than half the pool, never the last that takes requests.
bool may_eject(const PoolCensus& census);

/// True when so few are healthy (less than half) that ejections are ignored: a doubtful endpoint is better than none.
bool panic(const PoolCensus& census);

/// One endpoint's passive health: out for `eject`, the n-th time in a row for n times as long, at most `longest`. Pure;
/// time as values.
class Ejection {
 public:
    static constexpr io::Duration longest = std::chrono::seconds(300);

    bool ejected() const { return until_ != io::TimePoint{}; }
    /// When it comes back. REQUIRES: ejected().
    io::TimePoint until() const { return until_; }
    unsigned times() const { return times_; }
    /// Begins one. Well behaved for `longest` since the last, it counts as the first again.
    void begin(io::TimePoint now, const config::Outlier& policy);
    /// Ends it when its time is over. True if it ended now.
    bool end_if_due(io::TimePoint now);

 private:
    unsigned times_ = 0;
    io::TimePoint until_{};  ///< epoch = not ejected
    io::TimePoint last_end_{};
};

}  // namespace edgeproxy::upstream
