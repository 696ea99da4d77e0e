// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/host_check.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "proxy/http/text.hpp"

namespace edgeproxy::admin {
namespace {

bool is_address(int family, std::string_view text) {
    in6_addr ignored{};
    return ::inet_pton(family, std::string(text).c_str(), &ignored) == 1;
}

bool is_port(std::string_view text) {
    constexpr std::size_t longest = 5;
    return text.empty() || (text.size() <= longest + 1 && text[0] == ':' &&
                            text.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

}  // namespace

bool is_allowed_host(std::string_view host, const std::vector<std::string>& hosts) {
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        return end != std::string_view::npos && is_port(host.substr(end + 1)) &&
               is_address(AF_INET6, host.substr(1, end - 1));
    }
    const std::size_t colon = host.find(':');
    if (colon != std::string_view::npos && !is_port(host.substr(colon))) return false;
    std::string_view name = host.substr(0, colon);
    if (name.ends_with('.')) name.remove_suffix(1);
    return http::iequals(name, "localhost") || is_address(AF_INET, name) ||
           std::any_of(hosts.begin(), hosts.end(), [&](const std::string& each) { return http::iequals(name, each); });
}

}  // namespace edgeproxy::admin
