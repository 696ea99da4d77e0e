// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel.hpp"

#include "proxy/lane.hpp"

namespace edgeproxy::proxy {
namespace {

/// After one side has ended the other may go on for so long.
constexpr io::Duration half_closed_timeout = std::chrono::seconds(60);
/// After our close frame the client may take so long to answer it.
constexpr io::Duration close_timeout = std::chrono::seconds(2);

}  // namespace

Tunnel::Tunnel(Lane& lane, Exchange& client, Http1Client& endpoint, upstream::UpstreamConnection& connection,
               io::Duration idle)
    : lane_(lane), client_(client), endpoint_(endpoint), connection_(connection), idle_(idle), next_(lane.tunnels) {
    if (next_ != nullptr) next_->prev_ = this;
    lane_.tunnels = this;
}

Tunnel::~Tunnel() {
    if (prev_ != nullptr) prev_->next_ = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
    if (lane_.tunnels == this) lane_.tunnels = next_;
}

void Tunnel::moved() {
    last_ = lane_.reactor.now();
}

void Tunnel::watch() {
    lane_.reactor.wheel().schedule(*this, io::deadline_after(last_, idle_));
}

void Tunnel::expired(io::TimePoint now) {
    if (io::deadline_after(last_, idle_) <= now) return break_off();
    watch();
}

void Tunnel::break_off() {
    client_.cancel_body();
    connection_.socket().cancel();
}

void Tunnel::close(std::uint16_t code) {
    if (closing_ != 0) return break_off();
    closing_ = code;
    connection_.socket().cancel_read();
}

void Tunnel::side_ended(io::Duration longest) {
    idle_ = idle_ > io::Duration::zero() ? std::min(idle_, longest) : longest;
    moved();
    watch();
}

/// Sends both sides a close frame if the endpoint's stream is between two frames. True: it was time.
io::Task<bool> Tunnel::say_goodbye() {
    if (!from_endpoint_.at_boundary() && !from_endpoint_.broken()) co_return false;
    if (from_endpoint_.at_boundary()) {
        const http::WsClose frame = http::ws_close_to_client(closing_);
        std::string_view text = frame.text();
        if (from_endpoint_.close_seen()) text = {};  // nothing may follow the endpoint's own
        const auto told = co_await client_.send({text, true});
        static_cast<void>(told);
    }
    if (from_client_.at_boundary() && !from_client_.close_seen() && !connection_.socket().writing()) {
        const http::WsClose frame =
            http::ws_close_to_server(http::ws_going_away, static_cast<std::uint32_t>(last_.time_since_epoch().count()));
        const auto told = co_await endpoint_.send(frame.text(), {});
        static_cast<void>(told);
    }
    side_ended(close_timeout);
    co_return true;
}

io::Task<void> Tunnel::to_endpoint() {
    for (;;) {
        const auto piece = co_await client_.read_body();
        if (!piece) break;
        moved();
        if (piece->done) {
            connection_.stream().shutdown_write();
            side_ended(closing_ != 0 ? close_timeout : half_closed_timeout);
            if (closing_ != 0) break;
            co_return;
        }
        if (closing_ != 0)
            continue;  // the endpoint has had its close frame; the client's answer to ours needs no reader
        from_client_.follow(piece->data);
        const auto sent = co_await endpoint_.send(piece->data, {});
        if (!sent) break;
        co_await lane_.reactor.yield();
    }
    break_off();
}

io::Task<void> Tunnel::to_client() {
    for (;;) {
        if (closing_ != 0) {
            const bool over = co_await say_goodbye();
            if (over) co_return;
        }
        const auto piece = co_await endpoint_.read_raw();
        if (!piece && closing_ != 0 && piece.error() == upstream::errc::cancelled && !connection_.socket().cancelled())
            continue;
        if (!piece) break;
        moved();
        for (std::string_view rest = piece->data; !rest.empty() || piece->done;) {
            // While closing, only to the end of the frame that is under way.
            std::string_view part = rest;
            if (closing_ != 0 && !rest.empty()) {
                part = rest.substr(0, from_endpoint_.next(rest));
            } else {
                from_endpoint_.follow(rest);
            }
            rest.remove_prefix(part.size());
            const auto sent = co_await client_.send({part, piece->done && rest.empty()});
            if (!sent) {
                break_off();
                co_return;
            }
            if (rest.empty() || (closing_ != 0 && from_endpoint_.at_boundary())) break;
        }
        if (piece->done) {
            side_ended(half_closed_timeout);
            co_return;
        }
        co_await lane_.reactor.yield();
    }
    break_off();
}

io::Task<void> Tunnel::run() {
    moved();
    watch();
    io::Task<void> up = to_endpoint();
    up.start();
    co_await to_client();
    co_await up;
}

}  // namespace edgeproxy::proxy
