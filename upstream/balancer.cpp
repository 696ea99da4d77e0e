// SPDX-License-Identifier: Apache-2.0
#include "upstream/balancer.hpp"

#include <algorithm>

namespace edgeproxy::upstream {
namespace {

/// Load as a fraction, compared by cross-multiplication: (in flight + the one to come) / (weight x share).
struct Load {
    std::uint64_t requests;
    std::uint64_t capacity;

    /// A cold endpoint has a share of the capacity. While it has nothing to do it counts as warm in that share of all
    /// draws: else it would get nothing from a pool that is mostly idle, since one request is a load for it already.
    Load(const EndpointView& view, Gate::Reading reading, io::TimePoint now, Random& random)
        : requests(std::uint64_t{reading.in_flight()} + 1), capacity(std::uint64_t{view.weight} * SlowStart::whole) {
        if (!reading.cold()) return;
        const std::uint32_t share = view.slow_start->share(now);
        const bool lucky = reading.in_flight() == 0 && random.below(SlowStart::whole) < share;
        if (!lucky) capacity = std::uint64_t{view.weight} * share;
    }
};

/// What is left when nobody else has room: the avoided endpoint, if it has.
std::size_t last_resort(std::span<const EndpointView> views, std::size_t avoid) {
    return avoid < views.size() && views[avoid].gate->glance().has_room() ? avoid : no_view;
}

}  // namespace

std::uint32_t SlowStart::share(io::TimePoint now) const {
    const auto age = now - io::TimePoint(io::TimePoint::duration(since_.load(std::memory_order_relaxed)));
    if (age >= length) return whole;
    if (age <= io::Duration::zero()) return least;
    return least + static_cast<std::uint32_t>((whole - least) * age.count() / length.count());
}

std::size_t Balancer::least_requests(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    if (views.size() > full_scan) {
        if (const auto index = two_choices(views, avoid, now); index != no_view) return index;
    }
    // From a random place on, the first of the least: equals share by chance, at the price of one number.
    const std::size_t size = views.size();
    std::size_t i = random_.below(static_cast<std::uint32_t>(size));
    std::size_t best = no_view;
    std::uint64_t requests = 1, capacity = 0;  // of the best: infinite load, while there is none
    for (std::size_t left = size; left > 0; --left, i = i + 1 == size ? 0 : i + 1) {
        const auto reading = views[i].gate->glance();
        if (!reading.has_room() || i == avoid) continue;
        const Load load(views[i], reading, now, random_);
        if (load.requests * capacity >= requests * load.capacity) continue;
        best = i;
        requests = load.requests;
        capacity = load.capacity;
    }
    return best != no_view ? best : last_resort(views, avoid);
}

// A few draws; when they meet nobody with room the full scan decides, so "nobody" is never said by chance.
std::size_t Balancer::two_choices(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    const auto size = static_cast<std::uint32_t>(views.size());
    for (int attempt = 0; attempt < 4; ++attempt) {
        const std::size_t a = random_.below(size);
        std::size_t b = random_.below(size - 1);
        if (b >= a) ++b;
        const auto reading_a = views[a].gate->glance(), reading_b = views[b].gate->glance();
        const bool room_a = a != avoid && reading_a.has_room(), room_b = b != avoid && reading_b.has_room();
        if (room_a && room_b) {
            const Load load_a(views[a], reading_a, now, random_), load_b(views[b], reading_b, now, random_);
            return load_b.requests * load_a.capacity < load_a.requests * load_b.capacity ? b : a;
        }
        if (room_a || room_b) return room_a ? a : b;
    }
    return no_view;
}

std::size_t Balancer::round_robin(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    std::size_t cold = no_view;  // open, but its slow start said "not this time"
    for (std::size_t step = 0; step < views.size(); ++step) {
        if (turn_ >= views.size()) turn_ = 0;
        const std::size_t i = turn_;
        const auto reading = views[i].gate->glance();
        const bool fits = i != avoid && reading.has_room();
        const bool chosen =
            fits && (!reading.cold() || random_.below(SlowStart::whole) < views[i].slow_start->share(now));
        if (fits && !chosen && cold == no_view) cold = i;
        if (!chosen || ++given_ >= views[i].weight) {
            ++turn_;
            given_ = 0;
        }
        if (chosen) return i;
    }
    return cold != no_view ? cold : last_resort(views, avoid);
}

}  // namespace edgeproxy::upstream
