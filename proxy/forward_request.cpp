// SPDX-License-Identifier: Apache-2.0
// The request's half of Forwarding.
#include "proxy/forwarding.hpp"
#include "proxy/http/http1_writer.hpp"

namespace edgeproxy::proxy {

using http::Body;
using upstream::errc;
using upstream::Result;

namespace {

/// How long the endpoint may think about `Expect: 100-continue` before the body is sent anyway (RFC 9110,
/// section 10.1.1).
constexpr io::Duration continue_timeout = std::chrono::seconds(1);

}  // namespace

io::Task<Result<void>> Forwarding::send_request() {
    // Bodies of unknown length travel chunked; a body that is complete already has a length.
    const bool unknown = body_.kind == Body::Kind::chunked;
    if (unknown && at_hand_.done && !body_started_ && exchange_.request_trailers().empty())
        body_ = {Body::Kind::length, at_hand_.data.size()};
    const bool waits = request().expect_continue && !at_hand_.done;
    if (head_.empty() || plan_.rules.host_header == config::HostHeader::endpoint) {
        const std::string authority = plan_.rules.host_header == config::HostHeader::endpoint
                                          ? admission_.endpoint().identity().address.to_string()
                                          : std::string("localhost");
        const UpstreamBody framing{body_, waits};
        head_buffer_ = request().fields.size() > 40 || request().target.size() > 2048
                           ? lane_.reactor.buffers().take_large()
                           : lane_.reactor.buffers().take_small();
        io::Buffer scratch;
        if (!plan_.rules.strip_prefix.empty() || !plan_.rules.add_prefix.empty())
            scratch = lane_.reactor.buffers().take_large();
        http::HeadWriter out{head_buffer_.span()};
        const admin::FieldDrops drops = write_request_head(out, request(), plan_.rules, work_.identity,
                                                           work_.request_id, authority, framing, scratch.span());
        for (std::size_t i = 0; i < drops.size(); ++i) {
            if (drops[i] != 0) lane_.cells->count_dropped(static_cast<admin::FieldDrop>(i), drops[i]);
        }
        if (out.overflowed()) {
            head_buffer_ = lane_.reactor.buffers().take_large();
            out = http::HeadWriter{head_buffer_.span()};
            write_request_head(out, request(), plan_.rules, work_.identity, work_.request_id, authority, framing,
                               scratch.span());
        }
        if (out.overflowed()) co_return errc::bad_response;
        head_ = out.text();
    }
    connection_->socket().read_deadline(io::never);
    connection_->socket().write_stall(plan_.pool_config->timeouts.write);
    if (body_.kind == Body::Kind::chunked) {
        const auto head_sent = co_await endpoint_->send(head_, {});
        if (!head_sent) co_return head_sent.error();
        if (!at_hand_.data.empty() || at_hand_.done) {
            const auto piece_sent =
                co_await endpoint_->send_body(at_hand_.data, true, at_hand_.done, exchange_.request_trailers());
            if (!piece_sent) co_return piece_sent.error();
        }
    } else {
        const auto sent = co_await endpoint_->send(head_, at_hand_.data);
        if (!sent) co_return sent.error();
    }
    uploaded_ = at_hand_.data.size();
    if (at_hand_.done || body_.kind == Body::Kind::none) {
        start_response_clock();
        co_return Result<void>();
    }
    if (waits) {
        const auto continued = co_await wait_for_continue();
        if (!continued) co_return continued.error();
    }
    body_started_ = true;
    uploading_ = true;
    upload_ = upload();
    upload_.start();
    co_return Result<void>();
}

void Forwarding::start_response_clock() {
    connection_->socket().read_deadline(io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.response));
}

/// The rest of the request body, piece by piece, while the answer may already be coming.
io::Task<Result<void>> Forwarding::upload() {
    const bool chunked = body_.kind == Body::Kind::chunked;
    for (;;) {
        const auto piece = co_await exchange_.read_body();
        if (!piece) {
            // The client broke off or is malformed: the endpoint must not take what it has for the whole.
            client_slow_ = piece.error() == io::errc::timed_out;
            client_cut_ = piece.error() == io::errc::eof;
            if (piece.error() != io::errc::cancelled && connection_) connection_->socket().cancel();
            co_return errc::cancelled;
        }
        uploaded_ += piece->data.size();
        if (too_large(uploaded_)) {
            too_large_ = true;
            connection_->socket().cancel();
            co_return errc::cancelled;
        }
        const auto sent =
            co_await endpoint_->send_body(piece->data, chunked, piece->done, exchange_.request_trailers());
        if (!sent) {
            // It reads no more; nor is its answer waited for, which nothing else would end.
            stalled_ = sent.error() == errc::write_timeout && !exchange_.responded();
            if (stalled_) connection_->socket().cancel();
            co_return sent.error();
        }
        if (piece->done) break;
        co_await lane_.reactor.yield();
    }
    uploading_ = false;
    if (connection_ && !exchange_.responded()) start_response_clock();
    co_return Result<void>();
}

io::Task<void> Forwarding::stop_upload() {
    if (!upload_.done()) {
        exchange_.cancel_body();
        if (connection_) connection_->socket().cancel();
    }
    const auto ended = co_await upload_;
    static_cast<void>(ended);
    upload_ = {};
}

/// Waits for the endpoint's word on `Expect: 100-continue`: a 100 (which goes on to the client), or silence for a while
/// (then we say it).
io::Task<Result<void>> Forwarding::wait_for_continue() {
    connection_->socket().read_deadline(lane_.reactor.now() + continue_timeout);
    const auto word = co_await connection_->stream().wait_readable();
    connection_->socket().read_deadline(io::never);
    if (word) co_return Result<void>();
    if (word.error() != io::errc::timed_out) co_return errc::cancelled;
    work_.head.reset();
    work_.head.status = 100;
    const auto told = co_await exchange_.interim(work_.head);
    static_cast<void>(told);
    co_return Result<void>();
}

}  // namespace edgeproxy::proxy
