// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace edgeproxy::http {

/// host[:port] taken apart. Views into the text it was parsed from.
struct Authority {
    std::string_view host;  ///< a name, an IPv4 address, or an IPv6 address without its brackets; as written, not empty
    std::optional<std::uint16_t> port;  ///< 1..65535
    bool ipv6 = false;                  ///< it stood in brackets
};

/// The one strict parser for Host, :authority and absolute-form (RFC 9110, section 7.2): letters, digits, '-', '.',
/// '_', or a bracketed IPv6 address, then perhaps ':' and a port of 1..65535 without leading zeros. At most 255 bytes
/// of host. No userinfo, escape, comma, slash, blank, control, 8-bit, empty label, zone, open bracket or empty port:
/// nothing on those.
std::optional<Authority> parse_authority(std::string_view text);

}  // namespace edgeproxy::http
