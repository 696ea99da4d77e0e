// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/sightings.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::master {

void Sightings::hear(control::EndpointsSeen seen, std::int64_t now) {
    const std::vector<Sighting> before = std::exchange(all_, {});
    for (control::EndpointSeen& one : seen.endpoints) {
        const auto known = std::find_if(before.begin(), before.end(), [&](const Sighting& other) {
            return other.pool == one.pool && other.endpoint == one.endpoint && other.address == one.address &&
                   other.state == one.state;
        });
        all_.push_back({std::move(one), known != before.end() ? known->since : now});
    }
}

std::vector<const Sightings::Sighting*> Sightings::of(std::string_view pool) const {
    std::vector<const Sighting*> found;
    for (const Sighting& one : all_) {
        if (one.pool == pool) found.push_back(&one);
    }
    return found;
}

const Sightings::Sighting* Sightings::find(std::string_view pool, std::string_view endpoint) const {
    const auto found = std::find_if(all_.begin(), all_.end(),
                                    [&](const Sighting& one) { return one.pool == pool && one.endpoint == endpoint; });
    return found != all_.end() ? &*found : nullptr;
}

}  // namespace edgeproxy::master
