// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "config/address.hpp"

namespace edgeproxy::io {

/// The other end of a connection, small enough for every connection to keep: an IP address (IPv4 in its mapped form)
/// and port, or nothing for a unix socket.
struct Peer {
    std::array<std::uint8_t, 16> ip{};
    std::uint16_t port = 0;
    bool is_ip = false;

    static Peer from(const sockaddr_storage& address);
    /// The address as people write it, without port or brackets; `unix` for a unix socket. Written to `out` (at least
    /// 46 bytes); returns its length.
    std::size_t write(char* out) const;
    std::string to_string() const;
};

/// A resolved address for bind and connect: a value of at most 112 bytes.
struct SocketAddress {
    union {
        sockaddr any;
        sockaddr_storage storage;
        sockaddr_un path;
    };
    socklen_t size = 0;

    SocketAddress() : storage{} {}
    int family() const { return any.sa_family; }
    bool is_unix() const { return any.sa_family == AF_UNIX; }
    Peer peer() const { return Peer::from(storage); }

    /// From a literal or unix address. `size` stays 0 when `address` needs a resolver (or a path is too long).
    static SocketAddress from_literal(const config::Address& address);
};

}  // namespace edgeproxy::io
