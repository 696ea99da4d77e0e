// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "tls/io/clock.hpp"

namespace edgeproxy::proxy {

/// The time of day for Date fields and log lines, asked of the system at most once a wake-up and formatted once a
/// second. One per reactor.
class WallClock {
 public:
    /// `now` is the reactor's; the system is asked again when it has moved.
    void refresh(io::TimePoint now);
    /// The value of a Date field (RFC 9110, section 5.6.7), valid until the next refresh.
    std::string_view date() const { return {date_.data(), date_.size()}; }
    std::chrono::system_clock::time_point now() const { return wall_; }
    std::uint64_t unix_ms() const {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(wall_.time_since_epoch()).count());
    }

 private:
    io::TimePoint at_{};
    std::chrono::system_clock::time_point wall_{};
    std::int64_t second_ = -1;
    std::array<char, 29> date_{};
};

}  // namespace edgeproxy::proxy
