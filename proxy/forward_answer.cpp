// SPDX-License-Identifier: Apache-2.0
// The answer's half of Forwarding.
#include "proxy/dispatch.hpp"
#include "proxy/forwarding.hpp"

namespace edgeproxy::proxy {

using http::Body;
using upstream::errc;
using upstream::Result;

namespace {

/// Interim answers that one exchange may have, a heartbeat (102) every second of a minute among them; more is an attack
/// on the client.
constexpr unsigned most_interim = 100;
/// Bytes of fields in all of them: they may have to wait for a client that does not read.
constexpr std::size_t most_interim_bytes = 64 * 1024;

}  // namespace

/// The interim answer that is here goes on to the client, and the next head is read.
io::Task<Result<void>> Forwarding::pass_interim() {
    if (++interim_ > most_interim) co_return errc::bad_response;
    for (const http::Field& field : answer_->response.fields) interim_bytes_ += field.name.size() + field.value.size();
    if (interim_bytes_ > most_interim_bytes) co_return errc::bad_response;
    if (!filter_response(answer_->response, plan_.rules, extras(), answer_->head)) co_return errc::bad_response;
    const auto told = co_await exchange_.interim(answer_->head);
    if (!told) co_return errc::cancelled;
    co_return co_await endpoint_->read_head(request().method);
}

/// The final head is here.
Result<void> Forwarding::judge_answer() {
    exchange_.figures.upstream = precise_now() - sent_at_;
    if (answer_->response.switching &&
        !(request().websocket && http::opens_tunnel(answer_->response, request().websocket_key)))
        return errc::bad_response;
    // To a WebSocket over HTTP/2 any 2xx says that the tunnel is open (RFC 8441, section 5).
    const bool says_open = answer_->response.status / 100 == 2 && !answer_->response.switching;
    if (request().websocket && request().version == http::Version::h2 && says_open) {
        // What is no WebSocket says so with a page, rightly: asking for one anywhere must not have it taken out.
        blameless_ = true;
        admission_.answered(answer_->response.status, exchange_.figures.upstream);
        return errc::bad_response;
    }
    return {};
}

/// The answer goes to the client; the connection is kept if all of it was read and nothing is left to send.
io::Task<void> Forwarding::relay() {
    admission_.answered(answer_->response.status, exchange_.figures.upstream);
    if (!filter_response(answer_->response, plan_.rules, extras(), answer_->head)) {
        if (upload_) co_await stop_upload();  // it uses the connection
        give_up_connection(errc::bad_response);
        co_await answer_locally(reason(Refusal::head_overflow));
        co_return;
    }
    set_idle_deadline();
    BodyPiece piece = endpoint_->body_at_hand();
    if (piece.done && !answer_->trailers.empty()) piece.done = false;  // they follow in a piece of their own
    auto taken = co_await exchange_.respond(answer_->head, piece.data, piece.done);
    endpoint_->allow_pipes(exchange_.takes_pipes());
    while (taken && !piece.done) {
        set_idle_deadline();
        const auto next = co_await endpoint_->read_body();
        if (!next) {
            const auto error = static_cast<errc>(next.error().value());
            admission_.failed(error);
            exchange_.figures.error = exchange_.client_gone() ? exchange_.loss() : reason(error).word;
            exchange_.abort();
            break;
        }
        piece = *next;
        std::span<const http::Field> trailers;
        if (piece.done) trailers = answer_->trailers.fields();
        taken = co_await exchange_.send(piece, trailers);
        if (taken && !piece.done) co_await lane_.reactor.yield();
    }
    if (!taken) {
        exchange_.figures.error = exchange_.loss();
        endpoint_->cancel();
    }
    if (uploading_) co_return;
    endpoint_->finish(admission_);
    drop_endpoint();
}

/// The tunnel may last for days: neither `plan_` nor `work_` is to be touched behind this.
void Forwarding::shed_request() {
    answer_.release();
    if (lane_.access_log != nullptr && plan_.route->access_log) {
        const admin::ExchangeRecord record = describe(client_, exchange_, work_);
        work_.snapshot.reset();
        exchange_.shed_request(&record);
    } else {
        work_.snapshot.reset();
        exchange_.shed_request(nullptr);
    }
}

io::Task<void> Forwarding::open_tunnel() {
    exchange_.figures.websocket = true;
    filter_response(answer_->response, plan_.rules, extras(), answer_->head);
    exchange_.become_tunnel();
    endpoint_->read_deadline(io::never);
    const auto began = co_await exchange_.respond(answer_->head, {}, false);
    if (!began) co_return;
    const upstream::Tunnel stay = admission_.to_tunnel();
    const config::Duration configured = plan_.route->websocket_idle;
    const io::Duration idle = configured.count() > 0 ? configured : client_.listener().timeouts.tunnel_idle;
    admin::TunnelCells& cells = lane_.cells->tunnels(exchange_.figures.pool_index);
    cells.opened.add();
    Tunnel tunnel{lane_, exchange_, http1_->tunnel_end(), idle};
    tunnel_ = &tunnel;
    shed_request();
    co_await tunnel.run();
    tunnel_ = nullptr;
    cells.closed.add();
    exchange_.abort();  // unless both sides have ended it, which the client must be able to tell
}

io::Task<void> Forwarding::answer_locally(const Reason& why) {
    if (exchange_.client_gone()) {
        exchange_.figures.error = exchange_.loss();
        exchange_.abort();
        co_return;
    }
    if (exchange_.responded()) {
        exchange_.figures.error = why.word;
        exchange_.abort();
        co_return;
    }
    Reason told = why;
    if (head_overflow_) told = reason(http::errc::head_too_large);
    if (stalled_) told = reason(errc::write_timeout);
    if (too_large_) told = reason(Refusal::body_too_large);
    if (client_slow_) told = reason(Refusal::request_timeout);
    if (client_cut_) told = reason(http::errc::truncated);
    if (exchange_.body_error() != http::errc::ok) told = reason(exchange_.body_error());
    std::vector<std::string> details;
    unsigned retry_after = 1;
    if (told.status == 503 && plan_.notes != nullptr) {
        PoolNotes::Note note = plan_.notes->get();
        retry_after = note.retry_after;
        if (work_.snapshot->config->error_pages.details) details = std::move(note.last_lines);
    }
    const auto sent = co_await reply(exchange_, told, work_.snapshot->config->error_pages, answer_->head,
                                     lane_.wall.date(), work_.request_id, std::move(details), retry_after);
    static_cast<void>(sent);
}

}  // namespace edgeproxy::proxy
