// SPDX-License-Identifier: Apache-2.0
#include "upstream/outlier.hpp"

#include <algorithm>

namespace edgeproxy::upstream {

bool FailureStreak::fail(io::TimePoint now, const config::Outlier& policy) {
    using std::chrono::duration_cast, std::chrono::milliseconds;
    const auto at = static_cast<std::uint64_t>(duration_cast<milliseconds>(now.time_since_epoch()).count());
    const auto window = static_cast<std::uint64_t>(policy.window.count());
    auto word = word_.load(std::memory_order_relaxed);
    for (;;) {
        const bool fresh = word == 0 || at > (word >> 16) + window;
        const std::uint64_t count = fresh ? 1 : (word & count_mask) + 1;
        const bool filled = count >= std::clamp<std::uint64_t>(policy.failures, 1, count_mask);
        const std::uint64_t next = filled ? 0 : (fresh ? at : word >> 16) << 16 | count;
        if (word_.compare_exchange_weak(word, next, std::memory_order_relaxed)) return filled;
    }
}

bool may_eject(const PoolCensus& census) {
    return (census.ejected + 1) * 2 <= census.members && census.ready > census.ejected + 1;
}

bool panic(const PoolCensus& census) {
    return (census.ready - census.ejected) * 2 < census.members;
}

void Ejection::begin(io::TimePoint now, const config::Outlier& policy) {
    if (times_ != 0 && now - last_end_ > longest) times_ = 0;
    ++times_;
    const io::Duration length = std::min<io::Duration>(io::Duration(policy.eject) * times_, longest);
    until_ = now + std::chrono::duration_cast<io::TimePoint::duration>(length);
    last_end_ = until_;
}

bool Ejection::end_if_due(io::TimePoint now) {
    if (!ejected() || now < until_) return false;
    until_ = {};
    return true;
}

}  // namespace edgeproxy::upstream
