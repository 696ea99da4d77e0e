// SPDX-License-Identifier: Apache-2.0
#include "upstream/balancer.hpp"

#include <algorithm>

namespace edgeproxy::upstream {
namespace {

/// Load as a fraction, compared by cross-multiplication: (in flight + the one to come) / (weight x share).
struct Load {
    std::uint64_t requests;
    std::uint64_t capacity;
    bool operator<(const Load& other) const { return requests * other.capacity < other.requests * capacity; }
    bool operator==(const Load& other) const { return requests * other.capacity == other.requests * capacity; }
};

Load load_of(const EndpointView& view, Gate::Reading reading, io::TimePoint now) {
    return {std::uint64_t{reading.in_flight()} + 1, std::uint64_t{view.weight} * view.slow_start->share(now)};
}

/// What is left when nobody else has room: the avoided endpoint, or the reason why not.
Choice last_resort(std::span<const EndpointView> views, std::size_t avoid, bool full) {
    if (avoid >= views.size()) return {no_view, full};
    const auto reading = views[avoid].gate->glance();
    if (reading.has_room()) return {avoid, false};
    return {no_view, full || reading.state() == EndpointState::ready};
}

}  // namespace

std::uint32_t SlowStart::share(io::TimePoint now) const {
    const auto since = since_.load(std::memory_order_relaxed);
    if (since == 0) return whole;
    const auto age = now - io::TimePoint(io::TimePoint::duration(since));
    if (age >= length) return whole;
    if (age <= io::Duration::zero()) return least;
    return least + static_cast<std::uint32_t>((whole - least) * age.count() / length.count());
}

Choice Balancer::choose(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    return kind_ == config::Balance::round_robin ? round_robin(views, avoid, now) : least_requests(views, avoid, now);
}

Choice Balancer::least_requests(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    if (views.size() > full_scan) {
        if (const auto index = two_choices(views, avoid, now); index != no_view) return {index, false};
    }
    std::size_t best = no_view;
    Load least{};
    std::uint32_t ties = 1;
    bool full = false;
    for (std::size_t i = 0; i < views.size(); ++i) {
        const auto reading = views[i].gate->glance();
        if (i == avoid) continue;
        if (!reading.has_room()) {
            full |= reading.state() == EndpointState::ready;
            continue;
        }
        const Load load = load_of(views[i], reading, now);
        if (best == no_view || load < least) {
            best = i;
            least = load;
            ties = 1;
        } else if (load == least && random_.below(++ties) == 0) {
            best = i;  // each of k equals ends up chosen with probability 1/k
        }
    }
    return best != no_view ? Choice{best, false} : last_resort(views, avoid, full);
}

// A few draws; when they meet nobody with room the full scan decides, so "full" is never said by chance.
std::size_t Balancer::two_choices(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    const auto size = static_cast<std::uint32_t>(views.size());
    for (int attempt = 0; attempt < 4; ++attempt) {
        const std::size_t a = random_.below(size);
        std::size_t b = random_.below(size - 1);
        if (b >= a) ++b;
        const auto reading_a = views[a].gate->glance(), reading_b = views[b].gate->glance();
        const bool room_a = a != avoid && reading_a.has_room(), room_b = b != avoid && reading_b.has_room();
        if (room_a && room_b) return load_of(views[b], reading_b, now) < load_of(views[a], reading_a, now) ? b : a;
        if (room_a || room_b) return room_a ? a : b;
    }
    return no_view;
}

Choice Balancer::round_robin(std::span<const EndpointView> views, std::size_t avoid, io::TimePoint now) {
    bool full = false;
    std::size_t cold = no_view;  // open, but its slow start said "not this time"
    for (std::size_t step = 0; step < views.size(); ++step) {
        if (turn_ >= views.size()) turn_ = 0;
        const std::size_t i = turn_;
        const auto reading = views[i].gate->glance();
        const bool fits = i != avoid && reading.has_room();
        const auto share = fits ? views[i].slow_start->share(now) : SlowStart::whole;
        const bool warm = share == SlowStart::whole || random_.below(SlowStart::whole) < share;
        if (!fits && i != avoid) full |= reading.state() == EndpointState::ready;
        if (fits && !warm && cold == no_view) cold = i;
        if (!(fits && warm) || ++given_ >= views[i].weight) {
            ++turn_;
            given_ = 0;
        }
        if (fits && warm) return {i, false};
    }
    return cold != no_view ? Choice{cold, false} : last_resort(views, avoid, full);
}

}  // namespace edgeproxy::upstream
