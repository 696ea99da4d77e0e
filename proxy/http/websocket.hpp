// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455, section 4.2.2): 28 characters.
std::array<char, 28> websocket_accept(std::string_view key);

/// Does `response` open the tunnel that was asked for with `key`? A valid 101 with the right accept; everything else is
/// no tunnel, whatever it says (a request that looks like a handshake would open a hidden way to the endpoint).
bool opens_tunnel(const Response& response, std::string_view key);

/// Follows one direction of a WebSocket and knows where frames end (RFC 6455, section 5.2), so that a close frame can
/// be put between two of them. Looks at frame headers only: payload, extensions and opcodes are the endpoints'
/// business.
class WsFrameTracker {
 public:
    /// Takes note of bytes that pass, up to the end of the frame at most: returns how many of `in` were taken, at least
    /// 1 of a non-empty `in`. Fewer than in.size() only at a boundary.
    std::size_t next(std::string_view in);
    /// Takes note of all of `in`.
    void follow(std::string_view in) {
        while (!in.empty()) in.remove_prefix(next(in));
    }

    /// Is this the beginning of the stream, or the place between two frames?
    bool at_boundary() const { return have_ == 0 && payload_left_ == 0 && !broken_; }

    /// Has a close frame begun? Then none may be put behind it.
    bool close_seen() const { return close_seen_; }
    /// A length of 2^63 or more was announced: there is no boundary any more.
    bool broken() const { return broken_; }

 private:
    bool take_header(unsigned char c);

    std::uint64_t length_ = 0;
    std::uint64_t payload_left_ = 0;
    std::uint8_t have_ = 0;          // bytes of the header
    std::uint8_t size_ = 2;          // that it has; known after two
    std::uint8_t extended_end_ = 2;  // where its extended length ends
    bool close_seen_ = false;
    bool broken_ = false;
};

/// Why a tunnel is closed (RFC 6455, section 7.4.1).
inline constexpr std::uint16_t ws_going_away = 1001;
inline constexpr std::uint16_t ws_service_restart = 1012;

/// A close frame without a reason text, ready to be sent.
struct WsClose {
    std::array<char, 8> bytes;
    std::size_t size;
    std::string_view text() const { return {bytes.data(), size}; }
};
/// To a client: from the server's side, not masked. 4 bytes.
WsClose ws_close_to_client(std::uint16_t code);
/// To a server: from the client's side, masked with any `key`. 8 bytes.
WsClose ws_close_to_server(std::uint16_t code, std::uint32_t key);

}  // namespace edgeproxy::http
