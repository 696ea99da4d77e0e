// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "config/config.hpp"
#include "proxy/http/message.hpp"
#include "tls/io/ip.hpp"

namespace edgeproxy::tls {
struct ClientIdentity;
}  // namespace edgeproxy::tls

namespace edgeproxy::proxy {

/// Who asks, as the application is to see it. Views into the request, into this object, or literals; not movable for
/// that reason.
struct Identity {
    Identity() = default;
    Identity(const Identity&) = delete;
    Identity& operator=(const Identity&) = delete;

    std::string_view client_ip;     ///< one address, or "unix"
    std::string_view proto;         ///< "http" or "https"
    std::string_view host;          ///< what the client put into Host, or a trusted peer's X-Forwarded-Host
    std::string_view port;          ///< decimal; empty on a unix listener
    std::string_view request_id;    ///< a trusted peer's; empty when one is to be made
    bool trusted = false;           ///< the peer itself is in `client_ip.trusted_proxies`
    bool asks_certificate = false;  ///< the handshake asked for a client certificate
    const tls::ClientIdentity* certificate = nullptr;  ///< whom it names; null when the client showed none

    /// The connection's own address, with port.
    std::string_view peer() const { return {peer_text.data(), peer_size}; }

    std::array<char, 46> ip_text;
    std::array<char, 56> peer_text;
    std::size_t peer_size = 0;
};

/// How the connection came in; constant over its life.
struct Arrival {
    io::Peer peer;
    bool tls = false;
    std::string_view local_port;  ///< of the listener, decimal; empty on a unix listener
    bool asks_certificate = false;
    const tls::ClientIdentity* certificate = nullptr;  ///< lives as long as the connection
};

/// The peer is in `client_ip.trusted_proxies`.
bool is_trusted(const config::ClientIp& rules, const io::Peer& peer);

/// Hops of X-Forwarded-For that are looked at, from the right.
inline constexpr unsigned max_forwarded_hops = 16;

/// Fills `out`. Forwarding fields of a peer that is not trusted are not looked at. X-Forwarded-For of a trusted one is
/// walked from right to left while the addresses are trusted; an entry that is no address ends the walk.
void identify(const http::Request& request, const Arrival& arrival, const config::ClientIp& rules,
              std::string_view request_id_field, Identity& out);

/// A request id that a trusted peer may choose: 1 to 128 of letters, digits, '.', '_', '-'.
bool is_request_id(std::string_view text);

}  // namespace edgeproxy::proxy
