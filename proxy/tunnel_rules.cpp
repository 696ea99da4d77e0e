// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel_rules.hpp"

#include <algorithm>

#include "proxy/http/text.hpp"

namespace edgeproxy::proxy {
namespace {

/// `pattern`: scheme://host[:port], or scheme://*.host[:port] for every name below it.
bool fits(std::string_view pattern, std::string_view origin) {
    const std::size_t star = pattern.find("://*.");
    if (star == std::string_view::npos) return http::iequals(pattern, origin);
    const std::string_view scheme = pattern.substr(0, star + 3);
    const std::string_view below = pattern.substr(star + 4);  // with its dot
    if (origin.size() <= scheme.size() + below.size() || origin[scheme.size()] == '.') return false;
    return http::iequals(origin.substr(0, scheme.size()), scheme) &&
           http::iequals(origin.substr(origin.size() - below.size()), below) &&
           origin.substr(scheme.size()).find_first_of("/@") == std::string_view::npos;
}

}  // namespace

bool may_open_websocket(const http::Request& request, const std::vector<std::string>& allowed_origins) {
    if (allowed_origins.empty()) return true;
    if (!request.fields.has(http::FieldId::origin)) return true;
    const std::string_view origin = request.fields.value(http::FieldId::origin);
    return !request.fields.repeated(http::FieldId::origin) &&
           std::any_of(allowed_origins.begin(), allowed_origins.end(),
                       [&](const std::string& pattern) { return fits(pattern, origin); });
}

bool TunnelPlace::take(std::atomic<std::uint32_t>& open, std::uint32_t most) {
    std::uint32_t now = open.load(std::memory_order_relaxed);
    do {
        if (most != 0 && now >= most) return false;
    } while (!open.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
    open_ = &open;
    return true;
}

}  // namespace edgeproxy::proxy
