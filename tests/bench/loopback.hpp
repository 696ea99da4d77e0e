// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tls/io/ip.hpp"

// What the loads and the origin of the measurements share.
namespace edgeproxy::bench {

/// Ends the program with one line on standard output.
[[noreturn]] inline void fail(const std::string& why) {
    std::printf("%s\n", why.c_str());
    std::exit(1);
}

inline io::SocketAddress loopback(std::uint16_t port) {
    return io::SocketAddress::from_literal({.host = "127.0.0.1", .port = port});
}

/// A connection to a port of this machine that sends at once, or the end of the program. `flags`: of the socket; with
/// SOCK_NONBLOCK it may still be under way.
inline int connect_loopback(std::uint16_t port, int flags = 0) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const io::SocketAddress to = loopback(port);
    if (fd < 0 || (::connect(fd, &to.any, to.size) != 0 && errno != EINPROGRESS)) fail("no connection");
    return fd;
}

}  // namespace edgeproxy::bench
