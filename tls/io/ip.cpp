// SPDX-License-Identifier: Apache-2.0
#include "tls/io/ip.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace edgeproxy::io {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Peer Peer::from(const sockaddr_storage& address) {
    Peer peer;
    if (address.ss_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &address, sizeof v4);
        std::copy(mapped_prefix.begin(), mapped_prefix.end(), peer.ip.begin());
        std::memcpy(peer.ip.data() + 12, &v4.sin_addr, 4);
        peer.port = ntohs(v4.sin_port);
        peer.is_ip = true;
    } else if (address.ss_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, &address, sizeof v6);
        std::memcpy(peer.ip.data(), &v6.sin6_addr, 16);
        peer.port = ntohs(v6.sin6_port);
        peer.is_ip = true;
    }
    return peer;
}

std::size_t Peer::write(char* out) const {
    if (!is_ip) {
        std::memcpy(out, "unix", 4);
        return 4;
    }
    if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), ip.begin())) {
        // By hand: every request needs it, and inet_ntop goes through printf.
        char* at = out;
        for (std::size_t i = 12; i < 16; ++i) {
            if (i > 12) *at++ = '.';
            at = std::to_chars(at, at + 3, ip[i]).ptr;
        }
        return static_cast<std::size_t>(at - out);
    }
    char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, ip.data(), text, sizeof text);
    const std::size_t length = std::strlen(text);
    std::memcpy(out, text, length);
    return length;
}

std::string Peer::to_string() const {
    char text[INET6_ADDRSTRLEN];
    return {text, write(text)};
}

SocketAddress SocketAddress::from_literal(const config::Address& address) {
    SocketAddress out;
    if (address.is_unix()) {
        if (address.host.empty() || address.host.size() >= sizeof out.path.sun_path) return out;
        out.path.sun_family = AF_UNIX;
        std::memcpy(out.path.sun_path, address.host.c_str(), address.host.size() + 1);
        out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
        return out;
    }
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        std::memcpy(&out.storage, &v4, sizeof v4);
        out.size = sizeof v4;
    } else if (address.host.empty() || inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address.port);
        std::memcpy(&out.storage, &v6, sizeof v6);
        out.size = sizeof v6;
    }
    return out;
}

}  // namespace edgeproxy::io
