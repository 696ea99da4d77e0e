// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace edgeproxy::http {

/// What a client may waste on one HTTP/2 connection: each stream that was reset, by it or by us for its fault, costs
/// one. A full purse lets a browser cancel a page; a flood of cancelled requests empties it.
class Http2Budget {
 public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::uint32_t burst = 200;
    static constexpr std::uint32_t per_second = 20;

    /// Takes one. False when nothing is left: the connection should end with ENHANCE_YOUR_CALM.
    bool spend(TimePoint now) {
        const std::chrono::duration<double> passed = now - last_;
        left_ = std::min<double>(burst, left_ + passed.count() * per_second);
        last_ = now;
        if (left_ < 1) return false;
        left_ -= 1;
        return true;
    }

 private:
    double left_ = burst;
    TimePoint last_{};
};

}  // namespace edgeproxy::http
