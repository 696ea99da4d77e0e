// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "proxy/admin/cells.hpp"

namespace edgeproxy::proxy {

/// Requests that ended for this reason, on every route.
inline std::uint64_t errors_of(const admin::LaneCells& cells, const admin::Registry& registry,
                               std::string_view reason) {
    std::uint64_t count = 0;
    for (std::size_t route = 0; route < registry.routes.size(); ++route) {
        const admin::RouteCells* found = cells.find_route(route);
        if (found == nullptr) continue;
        found->errors.each([&](std::string_view word, std::uint64_t number) { count += word == reason ? number : 0; });
    }
    return count;
}

}  // namespace edgeproxy::proxy
