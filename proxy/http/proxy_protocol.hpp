// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace edgeproxy::http {

/// What a PROXY header (version 1 or 2) says about a connection that a load balancer has accepted for us.
///
/// Addresses in 16 bytes, IPv4 in its mapped form. `known` false: the balancer speaks for itself (LOCAL: a health
/// check), or of an address that is no IP (UNKNOWN, AF_UNSPEC, AF_UNIX); the connection's own addresses hold then.
struct ProxyHeader {
    struct Place {
        std::array<std::uint8_t, 16> ip{};
        std::uint16_t port = 0;
        bool operator==(const Place&) const = default;
    };
    bool known = false;
    Place source, destination;
    bool operator==(const ProxyHeader&) const = default;
};

/// Limits of the header, in bytes; what is longer is malformed.
inline constexpr std::size_t max_proxy_v1 = 107;   ///< the line with its CRLF
inline constexpr std::size_t max_proxy_v2 = 4096;  ///< all of it

struct ProxyHeaderResult {
    enum class Status : std::uint8_t {
        incomplete,  ///< every byte so far belongs to the header, and more must come
        complete,    ///< the first `size` bytes are the header
        malformed    ///< not a PROXY header, or one that must not be believed
    };
    Status status = Status::incomplete;
    std::size_t size = 0;
};

/// Reads the header at the beginning of `bytes`. Pure; may be asked again with more bytes: every cut gives the same.
/// Version 1 is read to the letter (no leading zeros, single blanks). Of version 2 the command and the addresses count,
/// and what follows them (TLVs) is skipped; datagram transports are malformed.
ProxyHeaderResult read_proxy_header(std::string_view bytes, ProxyHeader& header);

}  // namespace edgeproxy::http
