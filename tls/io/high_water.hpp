// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>

namespace edgeproxy::io {

/// How many pieces a pool has: as many as were lent at the peak of this while or the one before, so that a steady load
/// allocates nothing however large it is, and a past one leaves nothing behind. Pure; no thread of its own.
class HighWater {
 public:
    /// `least`: free pieces that are always kept.
    explicit constexpr HighWater(std::size_t least) : least_(least) {}

    constexpr void lent() { most_ = std::max(most_, ++lent_); }
    /// One came back. Is it kept beside the `free` ones?
    constexpr bool returned(std::size_t free) {
        if (lent_ > 0) --lent_;
        return free < room();
    }
    /// A while is over. So many free pieces may stay.
    constexpr std::size_t pass() {
        before_ = most_;
        most_ = lent_;
        return room();
    }

 private:
    constexpr std::size_t room() const { return std::max(least_, std::max(most_, before_) - lent_); }

    std::size_t least_;
    std::size_t lent_ = 0, most_ = 0, before_ = 0;
};

}  // namespace edgeproxy::io
