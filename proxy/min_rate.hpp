// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "tls/io/clock.hpp"

namespace edgeproxy::proxy {

/// How fast a client must at least send a body, or take an answer.
///
/// Each byte buys the time that it may take at this speed. `grace` is had for nothing at the start; `credit` is the
/// most that a fast beginning can save up, so that nobody buys an hour of silence with the first megabyte.
struct MinRate {
    std::uint64_t bytes_per_second = 0;  ///< zero = off; at most 2^30
    io::Duration grace{};
    io::Duration credit{};  ///< at least `grace`
};

/// `limits.body_rate` and `limits.response_rate`, as the listener has them.
constexpr MinRate body_rate(std::uint64_t bytes_per_second) {
    return {bytes_per_second, std::chrono::seconds(10), std::chrono::seconds(30)};
}
constexpr MinRate response_rate(std::uint64_t bytes_per_second) {
    return {bytes_per_second, std::chrono::seconds(30), std::chrono::seconds(60)};
}

/// One transfer judged by a MinRate: a clock that runs only while it is the peer's turn. Pure: time comes in.
///
///     watch.start(now);                      // before waiting for the peer
///     deadline = std::min(deadline, watch.deadline());
///     watch.moved(now, bytes);               // whatever came, while it runs or not
///     watch.stop(now);                       // it is our turn
class RateWatch {
 public:
    explicit constexpr RateWatch(const MinRate& rule) : rule_(rule), left_(rule.grace) {}

    constexpr void start(io::TimePoint now) {
        if (rule_.bytes_per_second > 0 && !running()) deadline_ = now + left_;
    }
    constexpr void moved(io::TimePoint now, std::uint64_t bytes) {
        if (rule_.bytes_per_second == 0) return;
        if (!running() && left_ == rule_.credit) return;
        if (running()) {
            deadline_ = std::min(deadline_ + worth(bytes), now + rule_.credit);
        } else {
            left_ = std::min(left_ + worth(bytes), rule_.credit);
        }
    }
    constexpr void stop(io::TimePoint now) {
        if (!running()) return;
        left_ = std::max(deadline_ - now, io::Duration::zero());
        deadline_ = io::never;
    }
    /// When the peer is too slow; `never` while it is not its turn.
    constexpr io::TimePoint deadline() const { return deadline_; }
    constexpr bool late(io::TimePoint now) const { return deadline_ <= now; }

 private:
    constexpr bool running() const { return deadline_ != io::never; }
    /// The time that so many bytes buy, at most `credit`.
    constexpr io::Duration worth(std::uint64_t bytes) const {
        const std::uint64_t seconds = bytes / rule_.bytes_per_second;
        if (seconds >= static_cast<std::uint64_t>(rule_.credit / std::chrono::seconds(1))) return rule_.credit;
        const std::uint64_t rest = bytes % rule_.bytes_per_second * 1'000'000'000 / rule_.bytes_per_second;
        return std::chrono::seconds(seconds) + io::Duration(rest);
    }

    MinRate rule_;
    io::Duration left_;
    io::TimePoint deadline_ = io::never;
};

}  // namespace edgeproxy::proxy
