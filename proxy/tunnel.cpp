// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel.hpp"

#include <exception>

#include "proxy/lane.hpp"

namespace edgeproxy::proxy {
namespace {

/// After one side has ended the other may go on for so long.
constexpr io::Duration half_closed_timeout = std::chrono::seconds(60);
/// After our close frame the client may take so long to answer it.
constexpr io::Duration close_timeout = std::chrono::seconds(2);
/// Our close frame has to wait for the end of a frame of the endpoint's: so long when nothing of it comes ...
constexpr io::Duration frame_pause = std::chrono::seconds(10);
/// ... and so long in all.
constexpr io::Duration longest_frame = std::chrono::minutes(5);

/// The next read would not wait: somebody else goes first.
bool has_more(const tls::Stream& stream) {
    return stream.has_buffered() || stream.socket().readable();
}

}  // namespace

Tunnel::Tunnel(Lane& lane, Exchange& client, TunnelEnd endpoint, io::Duration idle)
    : lane_(lane),
      client_(client),
      client_end_(client.tunnel_end()),
      endpoint_(std::move(endpoint)),
      idle_(idle),
      next_(lane.tunnels) {
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
    lane_.reactor.wheel().schedule(*this, due());
}

void Tunnel::expired(io::TimePoint now) {
    if (due() <= now) return break_off();
    watch();
}

void Tunnel::break_off() {
    broken_off_ = true;
    client_.cancel_body();
    endpoint_socket().cancel();
}

void Tunnel::close(std::uint16_t code) {
    if (closing_ != 0) return break_off();
    closing_ = code;
    close_at_ = lane_.reactor.now() + longest_frame;
    side_ended(frame_pause);
    endpoint_socket().cancel_read();
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
        const auto told = co_await tell_client(text, true);
        static_cast<void>(told);
    }
    if (from_client_.at_boundary() && !from_client_.close_seen() && !endpoint_socket().writing()) {
        const http::WsClose frame =
            http::ws_close_to_server(http::ws_going_away, static_cast<std::uint32_t>(last_.time_since_epoch().count()));
        const auto told = co_await endpoint_.stream->write_all(frame.text());
        static_cast<void>(told);
    }
    close_at_ = io::never;
    side_ended(close_timeout);
    co_return true;
}

io::Task<io::Result<void>> Tunnel::tell_client(std::string_view text, bool end) {
    if (client_end_.stream == nullptr) co_return co_await client_.send({text, end});
    client_.figures.bytes_out += text.size();
    const auto put = co_await client_end_.stream->write_all(text);
    if (put.has_error()) co_return put.error();
    if (end) client_end_.stream->shutdown_write();
    co_return io::Result<void>();
}

io::Task<void> Tunnel::to_endpoint() {
    Input& input = client_end_.input;
    while (!broken_off_) {
        BodyPiece piece;
        if (client_end_.stream == nullptr) {
            const auto next = co_await client_.read_body();
            if (!next) break;
            piece = *next;
        } else {
            if (input.empty()) {
                input.release();
                const auto got = co_await client_end_.stream->read_some(input.buffer, 0);
                piece.done = got.has_error() && got.error() == io::errc::eof;
                if (got.has_error() && !piece.done) break;
                if (got.has_value()) input.end = *got;
            }
            piece.data = input.take();
            client_.figures.bytes_in += piece.data.size();
        }
        if (closing_ != 0 && !piece.done) {
            // The endpoint has had its close frame; the client's answer to ours needs no reader, and delays nothing.
            co_await lane_.reactor.yield();
            continue;
        }
        moved();
        if (piece.done) {
            endpoint_.stream->shutdown_write();
            side_ended(closing_ != 0 ? close_timeout : half_closed_timeout);
            if (closing_ != 0) break;
            co_return;
        }
        from_client_.follow(piece.data);
        const auto put = co_await endpoint_.stream->write_all(piece.data);
        if (put.has_error()) break;
        if (client_end_.stream == nullptr || has_more(*client_end_.stream)) co_await lane_.reactor.yield();
    }
    break_off();
}

io::Task<void> Tunnel::to_client() {
    Input& input = endpoint_.input;
    while (!broken_off_ || !input.empty()) {  // what came with the 101 goes on in any case
        if (closing_ != 0) {
            const bool over = co_await say_goodbye();
            if (over) co_return;
        }
        bool done = false;
        if (input.empty()) {
            input.release();
            const auto got = co_await endpoint_.stream->read_some(input.buffer, 0);
            done = got.has_error() && got.error() == io::errc::eof;
            // Asked to close.
            if (got.has_error() && closing_ != 0 && got.error() == io::errc::cancelled &&
                !endpoint_socket().cancelled())
                continue;
            if (got.has_error() && !done) break;
            if (got.has_value()) input.end = *got;
        }
        moved();
        // While closing, only to the end of the frame that is under way.
        while (!input.empty() || done) {
            std::string_view part = input.text();
            if (closing_ != 0 && !part.empty()) {
                part = part.substr(0, from_endpoint_.next(part));
            } else {
                from_endpoint_.follow(part);
            }
            input.begin += part.size();
            bool taken = false;
            if (client_end_.stream != nullptr && !done) {
                client_.figures.bytes_out += part.size();
                const auto put = co_await client_end_.stream->write_all(part);
                taken = put.has_value();
            } else {
                const auto told = co_await tell_client(part, done && input.empty());
                taken = told.has_value();
            }
            if (!taken) {
                break_off();
                co_return;
            }
            if (input.empty() || (closing_ != 0 && from_endpoint_.at_boundary())) break;
        }
        if (done) {
            side_ended(half_closed_timeout);
            co_return;
        }
        if (has_more(*endpoint_.stream)) co_await lane_.reactor.yield();
    }
    break_off();
}

io::Task<void> Tunnel::run() {
    moved();
    watch();
    io::Task<void> up = to_endpoint();
    up.start();
    std::exception_ptr failed;  // there is no memory; the other direction must have ended before this frame goes
    try {
        co_await to_client();
    } catch (...) {
        failed = std::current_exception();
    }
    if (failed) break_off();
    co_await up;
    if (failed) std::rethrow_exception(failed);
}

}  // namespace edgeproxy::proxy
