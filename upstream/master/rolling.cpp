// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/rolling.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::master {

void Rolling::want(std::uint32_t slot, Reason reason) {
    if (slot >= places_.size()) return;
    if (idle()) {
        for (Place& place : places_) place.replaced = false;
    }
    places_[slot].wanted = reason;
}

std::optional<std::uint32_t> Rolling::next(unsigned at_once) {
    const auto busy =
        std::count_if(places_.begin(), places_.end(), [](const Place& p) { return p.running.has_value(); });
    if (static_cast<unsigned>(busy) >= at_once) return std::nullopt;
    for (std::uint32_t slot = 0; slot < places_.size(); ++slot) {
        Place& place = places_[slot];
        if (!place.wanted || place.running || (place.wanted == Reason::recycle && busy > 0)) continue;
        place.running = std::exchange(place.wanted, std::nullopt);
        return slot;
    }
    return std::nullopt;
}

void Rolling::done(std::uint32_t slot) {
    if (slot >= places_.size() || !places_[slot].running) return;
    places_[slot].running.reset();
    places_[slot].replaced = true;
}

void Rolling::failed(std::uint32_t slot) {
    if (slot < places_.size()) places_[slot].running.reset();
    for (Place& place : places_) place.wanted.reset();
}

void Rolling::forget(std::uint32_t slot) {
    if (slot < places_.size()) places_[slot] = {};
}

std::optional<control::RestartReason> Rolling::running(std::uint32_t slot) const {
    return slot < places_.size() ? places_[slot].running : std::nullopt;
}

bool Rolling::wanted(std::uint32_t slot) const {
    return slot < places_.size() && places_[slot].wanted.has_value();
}

unsigned Rolling::replaced() const {
    return static_cast<unsigned>(
        std::count_if(places_.begin(), places_.end(), [](const Place& p) { return p.replaced; }));
}

bool Rolling::was_replaced(std::uint32_t slot) const {
    return slot < places_.size() && places_[slot].replaced;
}

bool Rolling::idle() const {
    return std::none_of(places_.begin(), places_.end(), [](const Place& p) { return p.wanted || p.running; });
}

}  // namespace edgeproxy::master
