// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/exchange.hpp"
#include "proxy/http/http1_reader.hpp"
#include "tls/io/buffer_pool.hpp"
#include "upstream/lease.hpp"

namespace edgeproxy::proxy {

/// One request and its answer on a connection to an endpoint, in HTTP/1.1. What the endpoint sends is as untrusted as
/// what a client sends.
///
/// Errors are upstream::errc. The socket's deadlines are the caller's. `connection`, `response` and `trailers` outlive
/// it.
class Http1Client {
 public:
    Http1Client(upstream::UpstreamConnection& connection, http::Response& response, http::Trailers& trailers);

    /// Bytes of memory that wait here for whoever reads the answer.
    std::size_t held() const { return in_.size(); }

    /// Sends the head and the first bytes of the body in one call.
    io::Task<upstream::Result<void>> send(std::string_view head, std::string_view body);
    /// Sends more of the body; `chunked` puts the framing of one chunk around it, and `last` ends the body.
    io::Task<upstream::Result<void>> send_body(std::string_view data, bool chunked, bool last,
                                               std::span<const http::Field> trailers);

    /// Reads the next head into the response: an interim one, the final one, or a switch of protocols.
    io::Task<upstream::Result<void>> read_head(http::Method method);
    /// After the final head: waits until all of a body that fits the buffer is here, each gap at most `idle` long.
    io::Task<upstream::Result<void>> gather(io::Duration idle);
    /// All of a body of known length is here.
    bool has_body() const { return in_end_ - in_begin_ >= response_.body.length; }
    /// What is already here of the body. `done` when that is all of it.
    BodyPiece body_at_hand();
    /// The next bytes of the body. Only once the head was sent on: its views end here.
    io::Task<upstream::Result<BodyPiece>> read_body();
    /// After a switch of protocols: the next raw bytes; `done` at the end of the stream.
    io::Task<upstream::Result<BodyPiece>> read_raw();

    /// A byte of an answer has come.
    bool begun() const { return begun_; }
    /// The last failure was a reset, which a unix socket gives only if the peer had bytes of ours unread.
    bool was_reset() const { return reset_; }
    /// The answer was read to its end, nothing follows it, and both sides allow another request.
    bool reusable() const { return !failed_ && body_.done() && in_begin_ == in_end_ && keep_alive_; }

 private:
    upstream::errc failure(const io::error_code& error, upstream::errc timed_out);
    bool make_room();
    io::Task<upstream::Result<void>> read_more(upstream::errc timed_out);

    upstream::UpstreamConnection& connection_;
    http::Response& response_;
    http::Trailers& trailers_;
    http::ResponseReader reader_;
    http::BodyReader body_;
    io::Buffer in_;
    std::size_t in_begin_ = 0, in_end_ = 0;
    bool begun_ = false;
    bool reset_ = false;
    bool failed_ = false;
    bool keep_alive_ = false;
    bool head_done_ = false;
};

}  // namespace edgeproxy::proxy
