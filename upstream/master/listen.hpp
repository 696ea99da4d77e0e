// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tls/io/fd.hpp"
#include "upstream/master/inherited.hpp"

namespace edgeproxy::master {

/// Which socket is at a path. Zeros: none.
struct SocketFile {
    std::uint64_t device = 0, inode = 0;
    bool operator==(const SocketFile&) const = default;
};
SocketFile file_at(const std::string& path);

/// One listening socket of ours, held by the master over every life of the proxy.
struct ListenSocket {
    std::string name;         ///< of the listener; `control::metrics_listener` for metrics
    config::Address address;  ///< where it really is
    io::UniqueFd fd;
    config::Address wanted;  ///< as configured: with port 0 the kernel chose
    std::uint64_t id = 0;    ///< its own over our life, from 1; told to the proxy
    SocketFile file{};       ///< of a unix path: what we have made there
};

/// Binds and listens: non-blocking, close-on-exec, SO_REUSEADDR. One socket for each address: an address without a host
/// is one IPv6 socket that takes IPv4 too where IPv6 exists, else an IPv4 one; `localhost` is both loopbacks. A unix
/// path that nobody listens on any more is replaced.
///
/// Empty on failure; `error` then says what is wrong and what to do: a missing right names CAP_NET_BIND_SERVICE, a port
/// in use the process that holds it, where /proc tells.
std::optional<std::vector<ListenSocket>> bind_address(const std::string& name, const config::Address& address,
                                                      unsigned backlog, std::string& error);

/// All of them: every listener's addresses, and metrics. Addresses `fd:NAME` take what was passed under that name,
/// once. Already bound ones are closed again on failure.
std::optional<std::vector<ListenSocket>> bind_all(const config::Config& config, InheritedSockets& inherited,
                                                  std::string& error);

/// Removes the path of a unix listener, if what is there is still what we have made there.
void unlink_path(const ListenSocket& socket);
void unlink_paths(const std::vector<ListenSocket>& sockets);

/// TCP_NODELAY for a listening socket, and so for every connection made to it from then on. (Those that wait already in
/// the backlog of a socket that a service manager passed go without.)
void send_at_once(int fd);

/// "nginx (pid 812)": who listens on a TCP port, if we may see that; else empty.
std::string holder_of(std::uint16_t port);

}  // namespace edgeproxy::master
