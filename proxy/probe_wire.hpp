// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tls/memory_client.hpp"
#include "upstream/endpoint.hpp"

namespace edgeproxy::proxy {

/// Whom a probe asks.
struct ProbeTarget {
    config::Address address;  ///< literal or unix
    upstream::Transport transport;
    std::string authority;  ///< its own Host
};

/// The bytes between a probe and an endpoint, plain or TLS, on the control thread. Every wait ends when somebody closes
/// the socket. `socket` outlives it.
class ProbeWire {
 public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    ProbeWire(Socket& socket, const ProbeTarget& to) : socket_(socket), to_(to) {}

    enum class Opened { yes, refused, failed };
    /// Connects, and becomes TLS if the endpoint has it.
    boost::asio::awaitable<Opened> open();
    boost::asio::awaitable<bool> write(std::string text);
    /// What came, at least one byte; empty at the end (`at_end`) or when it failed.
    boost::asio::awaitable<std::string> read();

    /// HTTP/2 is to be spoken.
    bool is_http2() const;
    bool at_end() const { return at_end_; }
    /// For people, after a failure.
    const std::string& why() const { return why_; }

 private:
    boost::asio::awaitable<bool> send(std::string bytes);
    boost::asio::awaitable<std::string> receive();

    Socket& socket_;
    const ProbeTarget& to_;
    std::optional<tls::MemoryClient> tls_;
    std::string why_;
    bool at_end_ = false;
};

}  // namespace edgeproxy::proxy
