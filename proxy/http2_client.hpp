// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/endpoint_client.hpp"
#include "proxy/http2_body.hpp"
#include "proxy/http2_upstream.hpp"

namespace edgeproxy::proxy {

/// One request and its answer on an HTTP/2 connection to an endpoint: a stream (RFC 9113, section 8.1).
///
/// The heads of the answer lie in a pooled buffer, its body comes through a queue whose bytes give their window back
/// when they are used; what is sent is taken straight out of the caller's memory once the endpoint's window has room.
/// Breaking it off resets the stream and leaves the connection to the others. `space` outlives it.
class Http2Client final : public EndpointClient, public http::Http2ClientStream, public io::Pooled {
 public:
    Http2Client(Http2Upstream& connection, AnswerSpace& space);
    ~Http2Client();

    io::Task<upstream::Result<void>> send(const OutgoingRequest& request) override;
    io::Task<upstream::Result<void>> send_body(BodyPiece piece, std::span<const http::Field> trailers) override;
    io::Task<upstream::Result<bool>> wait_for_word(io::TimePoint deadline) override;
    io::Task<upstream::Result<void>> read_head(http::Method method) override;
    bool has_body() const override { return input_ended() || body_.size() >= space_->response.body.length; }
    io::Task<upstream::Result<void>> gather(io::TimePoint deadline) override;
    BodyPiece body_at_hand() override;
    io::Task<upstream::Result<BodyPiece>> read_body() override;
    void read_deadline(io::TimePoint deadline) override;
    void write_stall(io::Duration longest) override { stall_ = longest; }
    void cancel() override;
    void finish(upstream::Admission&) override {}
    std::size_t held() const override { return body_.size() + head_memory_.size(); }

    // For the connection.

    /// A larger memory for heads. False: it has the largest.
    bool enlarge_head();
    void head_came() {
        begun_ = true;
        wake();
    }
    bool take(std::string_view bytes);
    void wake() {
        readable_.set();
        writable_.set();
    }
    /// Body bytes that came and are not used.
    std::size_t unused() const { return body_.size(); }

    Http2Client* next = nullptr;  ///< in the connection's list, as is `prev`
    Http2Client* prev = nullptr;

 private:
    upstream::errc failure() const;
    bool bodiless() const;
    void use_given();
    io::Task<upstream::Result<void>> wait_taken();
    io::Task<upstream::Result<void>> wait_readable(io::TimePoint deadline, upstream::errc timed_out);

    Http2Upstream& connection_;
    AnswerSpace& space_;
    io::Buffer head_memory_, small_memory_;
    Http2Body body_;
    io::Event readable_, writable_;
    std::size_t given_ = 0;  ///< bytes at the front of `body_` that the caller has
    const bool first_;       ///< on its connection
    io::TimePoint asked_{};
    io::TimePoint read_deadline_ = io::never;
    io::Duration stall_{};
    bool cancelled_ = false;
};

}  // namespace edgeproxy::proxy
