// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>

#include "proxy/connection.hpp"
#include "proxy/exchange.hpp"
#include "proxy/http/http1_reader.hpp"
#include "proxy/input.hpp"
#include "proxy/min_rate.hpp"

namespace edgeproxy::proxy {

/// One request of an HTTP/1.x connection and its answer.
///
/// The head and the body bytes that came with it stay in the head buffer until the exchange ends, so they can be sent
/// again. Body bytes that come later pass through a second buffer.
class Http1Exchange final : public Exchange, io::Socket::IdleWatch, Connection::Server {
 public:
    /// `input`: what the connection has read already.
    Http1Exchange(Connection& connection, Input input);
    ~Http1Exchange();

    enum class Head : std::uint8_t { complete, malformed, slow, closed };
    /// Reads the request head within the listener's time and limits.
    io::Task<Head> read_head();
    http::errc head_error() const { return head_error_; }
    /// The request is to be answered and the connection closed, whatever else happens.
    void keep_no_more() { keep_alive_ = false; }

    /// After the answer: true if the connection goes on, with `take_input` of the next request. Else `end`.
    bool finish();
    Input take_input() { return std::move(input_); }
    /// Discards what is left of the request and closes properly.
    io::Task<void> end();

    Workspace& workspace() { return *workspace_; }
    const http::Request& request() const override { return workspace_->request; }
    BodyPiece body_at_hand() override;
    io::Task<io::Result<BodyPiece>> read_body() override;
    http::errc body_error() const override { return body_error_; }
    std::span<const http::Field> request_trailers() const override { return workspace_->request_trailers.fields(); }
    io::Task<io::Result<void>> interim(const ResponseHead& head) override;
    io::Task<io::Result<void>> respond(const ResponseHead& head, std::string_view data, bool end) override;
    io::Task<io::Result<void>> send(BodyPiece piece, std::span<const http::Field> trailers) override;
    bool takes_pipes() const override { return framing_ == Framing::length && !connection_.stream().is_tls(); }
    void abort() override;
    void become_tunnel() override;
    TunnelEnd tunnel_end() override { return {&connection_.stream(), std::move(input_)}; }
    void shed_request(const admin::ExchangeRecord* record) override;
    const admin::ExchangeRecord* kept_record() override;
    std::string_view loss() const override { return connection_.loss(); }

 private:
    enum class Framing : std::uint8_t { none, length, chunked, until_close };

    void idle_ended(io::Socket& socket) override;
    void ask_half_closed();
    void was_cut() override { tell_gone(); }
    std::size_t held() const override {
        return (workspace_ ? sizeof(Workspace) : 0) + input_.buffer.size() + head_buffer_.size() + pipe_.held() +
               watcher_holds();
    }
    io::Task<io::Result<std::size_t>> read_in_time(bool splice, std::size_t room);
    bool may_splice() const { return pipes_allowed() && !connection_.stream().is_tls() && body_.run() > spliced_from; }
    void stop_reading() override { connection_.socket().cancel_read(); }
    void set_head_apart();
    io::Task<io::Result<void>> read_more();
    void choose_framing(const ResponseHead& head);
    void write_head(http::HeadWriter& out, const ResponseHead& head) const;
    io::Result<void> sent(io::Result<std::size_t> outcome);

    Connection& connection_;
    ObjectPool<Workspace>::Loan workspace_;  ///< none once it was shed
    Input input_;
    io::Pipe pipe_;           ///< the piece of the body that was given out last, when it was spliced
    io::Buffer head_buffer_;  ///< once body bytes come through `input_`, what the request's views point into
    http::RequestReader reader_;
    http::BodyReader body_;
    http::errc head_error_ = http::errc::ok;
    http::errc body_error_ = http::errc::ok;
    Framing framing_ = Framing::none;
    std::optional<RateWatch> body_rate_;  ///< once body bytes are waited for
    io::TimePoint ask_at_ = io::never;    ///< when a client that has closed its side is asked whether it is there ...
    bool asked_ = false;                  ///< ... which has been done
    bool keep_alive_ = true;
    bool aborted_ = false;
    bool tunnel_ = false;
    std::unique_ptr<admin::KeptRecord> kept_;  ///< once the request was shed, if it is to be logged
};

}  // namespace edgeproxy::proxy
