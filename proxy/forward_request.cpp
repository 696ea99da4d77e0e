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

/// The head as it leaves, in `head_buffer_`, and the endpoint ready to take it. `waits`: for the word on `Expect`.
/// False: it does not fit.
bool Forwarding::write_head(bool waits) {
    endpoint_->read_deadline(io::never);
    endpoint_->write_stall(plan_.pool_config->timeouts.write);
    // Bodies of unknown length travel chunked; a body that is complete already has a length.
    const bool unknown = body_.kind == Body::Kind::chunked;
    if (unknown && at_hand_.done && !body_started_ && exchange_.request_trailers().empty())
        body_ = {Body::Kind::length, at_hand_.data.size()};
    const std::string_view authority = plan_.rules.host_header == config::HostHeader::endpoint
                                           ? std::string_view(admission_.endpoint().identity().authority)
                                           : std::string_view("localhost");
    const UpstreamBody framing{body_, waits};
    head_buffer_ = request().fields.size() > 40 || request().target.size() > 2048
                       ? lane_.reactor.buffers().take_large()
                       : lane_.reactor.buffers().take_small();
    io::Buffer scratch;
    if (!plan_.rules.strip_prefix.empty() || !plan_.rules.add_prefix.empty())
        scratch = lane_.reactor.buffers().take_large();
    http::HeadWriter out{head_buffer_.span()};
    const admin::FieldDrops drops = write_request_head(out, request(), plan_.rules, work_.identity, work_.request_id,
                                                       authority, framing, scratch.span());
    const bool first = head_size_ == 0;  // of a request that may have had attempts without any connection
    for (std::size_t i = 0; first && i < drops.size(); ++i) {
        if (drops[i] != 0) lane_.cells->count_dropped(static_cast<admin::FieldDrop>(i), drops[i]);
    }
    if (out.overflowed()) {
        head_buffer_ = lane_.reactor.buffers().take_large();
        out = http::HeadWriter{head_buffer_.span()};
        write_request_head(out, request(), plan_.rules, work_.identity, work_.request_id, authority, framing,
                           scratch.span());
    }
    head_size_ = out.size();
    return !out.overflowed();
}

/// What has gone out so far was not all of the request.
io::Task<Result<void>> Forwarding::start_upload(bool waits) {
    if (waits) {
        const auto continued = co_await wait_for_continue();
        if (!continued) co_return continued.error();
    }
    uploaded_ = at_hand_.data.size();
    body_started_ = true;
    uploading_ = true;
    exchange_.allow_pipes(endpoint_->takes_pipes());
    upload_ = upload();
    upload_.start();
    co_return Result<void>();
}

void Forwarding::start_response_clock() {
    endpoint_->read_deadline(io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.response));
}

/// The rest of the request body, piece by piece, while the answer may already be coming.
io::Task<Result<void>> Forwarding::upload() {
    for (;;) {
        const auto piece = co_await exchange_.read_body();
        if (!piece) {
            // The client broke off or is malformed: the endpoint must not take what it has for the whole.
            client_slow_ = piece.error() == io::errc::timed_out;
            client_cut_ = !client_slow_ && piece.error() != io::errc::cancelled;
            if (piece.error() != io::errc::cancelled && endpoint_ != nullptr) endpoint_->cancel();
            co_return errc::cancelled;
        }
        uploaded_ += piece->size();
        if (too_large(uploaded_)) {
            too_large_ = true;
            endpoint_->cancel();
            co_return errc::cancelled;
        }
        const auto sent = co_await endpoint_->send_body(*piece, exchange_.request_trailers());
        if (!sent) {
            // It reads no more; nor is its answer waited for, which nothing else would end.
            stalled_ = sent.error() == errc::write_timeout && !exchange_.responded();
            if (stalled_) {
                endpoint_->cancel();
            } else if (!exchange_.responded()) {
                start_response_clock();
            }
            co_return sent.error();
        }
        if (piece->done) break;
        co_await lane_.reactor.yield();
    }
    uploading_ = false;
    if (endpoint_ != nullptr && !exchange_.responded()) start_response_clock();
    co_return Result<void>();
}

void Forwarding::cancel_upload() {
    if (!upload_ || upload_.done()) return;
    exchange_.cancel_body();
    if (endpoint_ != nullptr) endpoint_->cancel();
}

/// Waits for the endpoint's word on `Expect: 100-continue`: a 100 (which goes on to the client), or silence for a while
/// (then we say it).
io::Task<Result<void>> Forwarding::wait_for_continue() {
    const auto word = co_await endpoint_->wait_for_word(lane_.reactor.now() + continue_timeout);
    if (!word) co_return word.error();
    if (*word) co_return Result<void>();
    answer_->head.reset();
    answer_->head.status = 100;
    const auto told = co_await exchange_.interim(answer_->head);
    static_cast<void>(told);
    co_return Result<void>();
}

}  // namespace edgeproxy::proxy
