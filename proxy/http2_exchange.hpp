// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/exchange.hpp"
#include "proxy/http/http2_session.hpp"
#include "proxy/http2_body.hpp"
#include "proxy/lane.hpp"
#include "proxy/min_rate.hpp"
#include "tls/io/frame_pool.hpp"

namespace edgeproxy::proxy {

class Http2Connection;

/// One request of an HTTP/2 connection and its answer: a stream (RFC 9113, section 8.1).
///
/// Its head lies in a pooled buffer, its body comes through a queue whose bytes give their window back when they are
/// used; what is sent is taken straight out of the caller's memory once the client's window has room. A stream that
/// dies while its coroutine waits only sets a flag and wakes it. One reactor thread; destroyed by its coroutine.
class Http2Exchange final : public Exchange, public http::Http2Stream, public io::Pooled {
 public:
    Http2Exchange(Http2Connection& connection, std::int32_t id);
    /// Resets the stream unless its answer is complete.
    ~Http2Exchange();

    const http::Request& request() const override { return workspace_->request; }
    BodyPiece body_at_hand() override;
    io::Task<io::Result<BodyPiece>> read_body() override;
    http::errc body_error() const override { return input_error(); }
    std::span<const http::Field> request_trailers() const override { return workspace_->request_trailers.fields(); }
    io::Task<io::Result<void>> interim(const ResponseHead& head) override;
    io::Task<io::Result<void>> respond(const ResponseHead& head, std::string_view data, bool end) override;
    io::Task<io::Result<void>> send(BodyPiece piece, std::span<const http::Field> trailers) override;
    void abort() override;
    void become_tunnel() override { tunnel_ = true; }
    std::string_view loss() const override;

    // For the connection.

    Workspace& workspace() { return *workspace_; }
    /// The head is complete; what came of it.
    void head_done(http::errc error);
    http::errc head_error() const { return head_error_; }
    /// A larger memory for the head. False: it has the largest.
    bool enlarge_head();
    bool take(std::string_view bytes);
    void wake_reader() { readable_.set(); }
    void wake_writer() { writable_.set(); }
    /// The stream or its connection is over before the answer was complete.
    void gone();
    /// Why it will be `gone` soon.
    void lost(std::string_view why) { loss_ = why; }
    /// Body bytes that the client has sent and that are not used.
    std::size_t unused() const { return body_.size(); }
    /// Bytes of memory that the stream takes.
    std::size_t held() const { return sizeof(Workspace) + head_memory_.size() + body_.held() + watcher_holds(); }
    /// After the answer: takes in the rest of the request, within bounds.
    io::Task<void> linger();
    /// Its coroutine runs, and will destroy it.
    bool served() const { return served_; }
    void serve() { served_ = true; }

    Http2Exchange* next = nullptr;  ///< in the connection's list, as is `prev`
    Http2Exchange* prev = nullptr;

 private:
    Http2Exchange(Http2Connection& connection, std::int32_t id, ObjectPool<Workspace>::Loan workspace);
    void stop_reading() override { readable_.cancel(); }
    void use_given();
    io::Task<io::Result<void>> wait_taken();
    io::Task<io::error_code> wait_readable();
    void rate_output(io::TimePoint now);
    io::error_code judge_reader(io::TimePoint now, io::TimePoint& stalled_at);
    bool over() const { return client_gone() || (closed() && !output_ended()); }

    Http2Connection& connection_;
    ObjectPool<Workspace>::Loan workspace_;
    io::Buffer head_memory_;
    Http2Body body_;
    io::Event readable_, writable_;
    std::size_t given_ = 0;  ///< bytes at the front of `body_` that the caller has
    RateWatch input_rate_, output_rate_;
    std::uint64_t rated_in_ = 0, rated_out_ = 0;  ///< bytes that the two know of
    std::array<char, 24> websocket_key_;
    std::string_view loss_ = loss::client_gone;
    http::errc head_error_ = http::errc::ok;
    bool tunnel_ = false;
    bool served_ = false;
};

}  // namespace edgeproxy::proxy
