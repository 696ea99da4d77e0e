// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgeproxy::config {

/// Where to listen or to connect: a value, comparable, never resolved here.
///
/// Written `:443` (every address), `127.0.0.1:443`, `[::1]:443`, `name:443`, `unix:/path`, and to listen on what a
/// service manager passed (socket activation) `fd:NAME`.
struct Address {
    enum class Kind : std::uint8_t { tcp, unix_path, inherited };

    Kind kind = Kind::tcp;
    std::string host;  ///< tcp: empty = every address; a literal without brackets, or a name to resolve. unix: the
                       ///< path. inherited: the name in LISTEN_FDNAMES
    std::uint16_t port = 0;  ///< tcp only

    bool is_unix() const { return kind == Kind::unix_path; }
    bool is_inherited() const { return kind == Kind::inherited; }
    /// True when only this machine can reach it: unix, 127.0.0.0/8, ::1, `localhost`.
    bool is_loopback() const;
    /// True when `host` is a literal or empty, so that no resolver is needed.
    bool is_literal() const;
    /// The form that a person writes, also the Prometheus label and the log word.
    std::string to_string() const;

    auto operator<=>(const Address&) const = default;
};

/// Reads one of the written forms. Empty when it is none of them (or the port is above 65535, or a unix path does not
/// fit 107 bytes).
std::optional<Address> parse_address(std::string_view text);

/// A range of IP addresses, for `trusted_proxies`. IPv4 is kept as its IPv4-mapped IPv6 form, so one comparison serves
/// both.
struct Cidr {
    std::uint8_t bytes[16] = {};
    std::uint8_t prefix = 128;  ///< bits, counted in the 128-bit form

    bool contains(const std::uint8_t (&address)[16]) const;
    std::string to_string() const;
    bool operator==(const Cidr&) const = default;
};

std::optional<Cidr> parse_cidr(std::string_view text);

/// An IP literal as its 16-byte form (IPv4 mapped). Empty when `text` is no literal. Used on the walk through
/// X-Forwarded-For.
struct IpBytes {
    std::uint8_t bytes[16] = {};
    bool operator==(const IpBytes&) const = default;
};
std::optional<IpBytes> parse_ip(std::string_view text);

}  // namespace edgeproxy::config
