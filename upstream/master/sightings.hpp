// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "upstream/control/message.hpp"

namespace edgeproxy::master {

/// What the proxy saw last of external endpoints, and of workers that are ejected, and since when it is so.
class Sightings {
 public:
    struct Sighting : control::EndpointSeen {
        std::int64_t since = 0;  ///< seconds since 1970: in this state so long, as far as we were told
    };

    /// Instead of all that was seen before. `now`: seconds since 1970.
    void hear(control::EndpointsSeen seen, std::int64_t now);
    /// There is no proxy that sees anything.
    void forget() { all_.clear(); }

    /// Endpoints of that pool, in the proxy's order. Valid until the next call of `hear` or `forget`.
    std::vector<const Sighting*> of(std::string_view pool) const;
    /// Null when nothing was said about it.
    const Sighting* find(std::string_view pool, std::string_view endpoint) const;

 private:
    std::vector<Sighting> all_;
};

}  // namespace edgeproxy::master
