// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "proxy/exchange.hpp"
#include "proxy/http/websocket.hpp"
#include "tls/stream.hpp"

namespace edgeproxy::proxy {

struct Lane;

/// Joins a client and an endpoint after a verified switch of protocols, byte for byte in both directions, until both
/// have ended, one breaks, or no byte went either way for `idle`. The end of one side is passed on to the other
/// (half-close).
///
/// While nobody says anything it holds no buffer. Where a connection is the tunnel's alone its bytes go straight from
/// one read to one write, in the one coroutine of their direction. Over HTTP/1.1 the request it began with is gone,
/// over HTTP/2 its exchange has it still: a Workspace (14 KiB) and the head (16 KiB at most as a rule), as far as they
/// were used. While one side does not read, at most a small buffer of the other's bytes waits here, and over HTTP/2 a
/// stream's window (64 KiB) of the client's.
///
/// It can be asked to close: the client then gets a WebSocket close frame between two frames of the endpoint's, so that
/// pages know why and come back. In the lane's list while it runs. One reactor thread; all references outlive `run`.
class Tunnel final : io::Timer {
 public:
    /// `client` has answered. It and the stream of `endpoint` outlive `run`.
    Tunnel(Lane& lane, Exchange& client, TunnelEnd endpoint, io::Duration idle);
    ~Tunnel();

    io::Task<void> run();

    /// Ends it with this code (http::ws_going_away, http::ws_service_restart) as soon as a frame ends; without it when
    /// none does for a moment, and at once when asked twice.
    void close(std::uint16_t code);

    Tunnel* next() const { return next_; }
    /// Bytes of memory that wait here for whoever reads.
    std::size_t held() const { return client_end_.input.buffer.size() + endpoint_.input.buffer.size(); }

 private:
    io::Task<void> to_endpoint();
    io::Task<void> to_client();
    io::Task<bool> say_goodbye();
    io::Task<io::Result<void>> tell_client(std::string_view text, bool end);
    io::Socket& endpoint_socket() const { return endpoint_.stream->socket(); }
    void moved();
    /// When it is over, as things are.
    io::TimePoint due() const { return std::min(io::deadline_after(last_, idle_), close_at_); }
    void watch();
    void expired(io::TimePoint now) override;
    void side_ended(io::Duration longest);
    void break_off();

    Lane& lane_;
    Exchange& client_;
    TunnelEnd client_end_;  ///< none over HTTP/2
    TunnelEnd endpoint_;
    io::Duration idle_;
    io::TimePoint last_{};
    http::WsFrameTracker from_endpoint_, from_client_;
    std::uint16_t closing_ = 0;
    io::TimePoint close_at_ = io::never;  ///< asked to close: at the latest, if no frame ends
    bool broken_off_ = false;
    Tunnel* next_ = nullptr;
    Tunnel* prev_ = nullptr;
};

}  // namespace edgeproxy::proxy
