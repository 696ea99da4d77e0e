// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>

#include "tls/io/clock.hpp"

/// The master's two clocks. What decides takes a point in time as a value; these are for those who perform.
namespace edgeproxy::master {

/// The monotonic clock, for deadlines and ages.
inline io::TimePoint now() {
    return io::Clock::real().now();
}

/// Seconds since 1970, for people and metrics.
inline std::int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace edgeproxy::master
