// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/endpoint_client.hpp"
#include "proxy/http/http1_reader.hpp"
#include "upstream/lease.hpp"

namespace edgeproxy::proxy {

/// One request and its answer on a connection to an endpoint, in HTTP/1.1. The connection is its own meanwhile.
///
/// `answer`, which is not used before something of it came, outlives it.
class Http1Client final : public EndpointClient {
 public:
    Http1Client(std::unique_ptr<upstream::UpstreamConnection> connection, AnswerSpace& answer);

    io::Task<upstream::Result<void>> send(const OutgoingRequest& request) override;
    io::Task<upstream::Result<void>> send_body(BodyPiece piece, std::span<const http::Field> trailers) override;
    bool takes_pipes() const override { return !chunked_ && !connection_->stream().is_tls(); }
    io::Task<upstream::Result<bool>> wait_for_word(io::TimePoint deadline) override;
    io::Task<upstream::Result<void>> read_head(http::Method method) override;
    io::Task<upstream::Result<void>> gather(io::TimePoint deadline) override;
    bool has_body() const override { return input_.size() >= answer_->response.body.length; }
    BodyPiece body_at_hand() override;
    io::Task<upstream::Result<BodyPiece>> read_body() override;
    void read_deadline(io::TimePoint deadline) override { connection_->socket().read_deadline(deadline); }
    void write_stall(io::Duration longest) override { connection_->socket().write_stall(longest); }
    void cancel() override { connection_->socket().cancel(); }
    void finish(upstream::Admission& admission) override;
    std::size_t held() const override { return input_.buffer.size() + pipe_.held(); }

    upstream::UpstreamConnection& connection() const { return *connection_; }
    /// It ends here, whatever is left of the exchange. REQUIRES: nothing is pending.
    std::unique_ptr<upstream::UpstreamConnection> release_connection() { return std::move(connection_); }
    /// After a switch of protocols.
    TunnelEnd tunnel_end() { return {&connection_->stream(), std::move(input_)}; }

 private:
    /// The answer was read to its end, nothing follows it, and both sides allow another request.
    bool reusable() const { return !failed_ && !unsent_ && body_.done() && input_.empty() && keep_alive_; }
    upstream::errc read_failure(const io::error_code& error, upstream::errc timed_out);
    upstream::errc write_failure(const io::error_code& error);
    /// What a failure at this point says about the exchange.
    upstream::errc meaning(const io::error_code& error, upstream::errc timed_out);
    io::Task<upstream::Result<void>> read_more(upstream::errc timed_out, bool large = false);
    bool may_splice() const { return pipes_allowed() && !connection_->stream().is_tls() && body_.run() > spliced_from; }
    io::Task<upstream::Result<void>> splice_more();
    io::Task<upstream::Result<void>> send_raw(std::string_view data);
    io::Task<upstream::Result<void>> send_pipe(io::Pipe& pipe);
    io::Task<upstream::Result<void>> send_chunk(std::string_view data, bool last,
                                                std::span<const http::Field> trailers);

    std::unique_ptr<upstream::UpstreamConnection> connection_;
    AnswerSpace& answer_;
    http::ResponseReader reader_;
    http::BodyReader body_;
    Input input_;
    io::Pipe pipe_;            ///< the piece of the body that was given out last, when it was spliced
    std::uint64_t taken_ = 0;  ///< bytes of this answer
    bool chunked_ = false;     ///< the request's body
    bool failed_ = false;      ///< nothing more can be read
    bool unsent_ = false;      ///< part of the request could not be sent
    bool keep_alive_ = false;
    bool head_done_ = false;
};

}  // namespace edgeproxy::proxy
