// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "config/config.hpp"
#include "tls/io/clock.hpp"
#include "upstream/gate.hpp"

namespace edgeproxy::upstream {

/// A cheap source of numbers that need not be secret: tie-breaks, samples. One per thread (a 64-bit congruential
/// generator, of which only the high half is used).
class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed) { below(2), below(2); }
    /// 0 <= result < bound. REQUIRES: bound > 0.
    std::uint32_t below(std::uint32_t bound) {
        state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<std::uint32_t>((state_ >> 32) * bound >> 32);
    }

 private:
    std::uint64_t state_;
};

/// An endpoint that comes back cold gets a growing share: a tenth of its weight at first, all of it after `length`.
/// Only asked while the gate says `cold`. Written by the control thread, read by everybody.
class SlowStart {
 public:
    static constexpr io::Duration length = std::chrono::seconds(10);
    static constexpr std::uint32_t whole = 1000;  ///< the share of an endpoint that is warm, in thousandths
    static constexpr std::uint32_t least = 100;

    void begin(io::TimePoint now) { since_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }
    std::uint32_t share(io::TimePoint now) const;

 private:
    std::atomic<io::TimePoint::rep> since_{0};
};

/// What the balancer knows of an endpoint. Both pointers outlive the view.
struct EndpointView {
    const Gate* gate;
    const SlowStart* slow_start;
    std::uint32_t weight;  ///< at least 1
};

inline constexpr std::size_t no_view = static_cast<std::size_t>(-1);

/// Chooses who serves the next request. Decides only: the caller then enters the gate, and chooses again if it was too
/// late.
///
/// Common to all: passes over endpoints that are not ready, ejected or full; takes the avoided one (`avoid`, or
/// `no_view`) only if there is no other. O(number of views) at most, no allocation. One instance per thread and pool:
/// it holds the round robin's place.
class Balancer {
 public:
    /// Above so many endpoints `least_requests` compares two drawn ones instead of all.
    static constexpr std::size_t full_scan = 32;

    Balancer(config::Balance kind, std::uint64_t seed) : kind_(kind), random_(seed) {}
    /// The index of the chosen view, or `no_view`: nobody has room.
    std::size_t choose(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
        if (views.size() == 1) return views[0].gate->glance().has_room() ? 0 : no_view;
        return kind_ == config::Balance::round_robin ? round_robin(views, avoid, now)
                                                     : least_requests(views, avoid, now);
    }
    void set_kind(config::Balance kind) { kind_ = kind; }

 private:
    std::size_t least_requests(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now);
    std::size_t two_choices(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now);
    std::size_t round_robin(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now);

    config::Balance kind_;
    Random random_;
    std::size_t turn_ = 0;     ///< round robin: whose turn it is
    std::uint32_t given_ = 0;  ///< ... and how many of its weight it had
};

}  // namespace edgeproxy::upstream
