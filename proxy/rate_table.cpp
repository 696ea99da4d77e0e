// SPDX-License-Identifier: Apache-2.0
#include "proxy/rate_table.hpp"

#include <algorithm>
#include <random>

namespace edgeproxy::proxy {
namespace {

constexpr std::int64_t second = 1'000'000'000;

std::uint64_t random_word() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

}  // namespace

RateTable::RateTable(std::size_t places) : places_count_(places), secret_{random_word() | 1, random_word()} {}

RateTable::~RateTable() = default;

void RateTable::set_rate(unsigned per_second) {
    if (per_second > 0 && !owned_) {
        owned_ = std::make_unique<Place[]>(places_count_);
        places_.store(owned_.get(), std::memory_order_release);
    }
    interval_.store(per_second > 0 ? second / per_second : 0, std::memory_order_relaxed);
}

/// Its own place, or the one that it takes.
RateTable::Place& RateTable::place_of(std::uint64_t source, Place* set) {
    Place* oldest = set;
    for (Place* place = set; place != set + ways; ++place) {
        if (place->source.load(std::memory_order_relaxed) == source) return *place;
        if (place->full.load(std::memory_order_relaxed) < oldest->full.load(std::memory_order_relaxed)) oldest = place;
    }
    std::uint64_t before = oldest->source.load(std::memory_order_relaxed);
    if (oldest->source.compare_exchange_strong(before, source, std::memory_order_relaxed))
        oldest->full.store(0, std::memory_order_relaxed);
    return *oldest;  // two that meet here share it for a moment
}

bool RateTable::take(const SourceKey& source, io::TimePoint now) {
    const std::int64_t interval = interval_.load(std::memory_order_relaxed);
    Place* const places = places_.load(std::memory_order_acquire);
    if (interval == 0 || places == nullptr) return true;
    const std::uint64_t hash = hash_of(source, secret_[0], secret_[1]);
    Place& place = place_of(hash | 1, places + (hash >> 1) % (places_count_ / ways) * ways);

    // The bucket holds two seconds' worth; each take moves the moment when it is full again by one interval.
    const std::int64_t at = now.time_since_epoch().count();
    std::int64_t full = place.full.load(std::memory_order_relaxed);
    for (;;) {
        const std::int64_t next = std::max(full, at) + interval;
        if (next - at > 2 * second) return false;
        if (place.full.compare_exchange_weak(full, next, std::memory_order_relaxed)) return true;
    }
}

}  // namespace edgeproxy::proxy
