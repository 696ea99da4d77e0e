// SPDX-License-Identifier: Apache-2.0
#include "proxy/forward.hpp"

#include <optional>

#include "proxy/http/http1_writer.hpp"
#include "proxy/http1_client.hpp"
#include "proxy/local_reply.hpp"
#include "proxy/retry.hpp"
#include "proxy/tunnel.hpp"

namespace edgeproxy::proxy {
namespace {

using http::Body;
using upstream::errc;
using upstream::Result;

/// Interim answers that one exchange may have; more is an attack on the client.
constexpr unsigned most_interim = 8;
/// How long the endpoint may think about `Expect: 100-continue` before the body is sent anyway (RFC 9110,
/// section 10.1.1).
constexpr io::Duration continue_timeout = std::chrono::seconds(1);
/// Pauses between replays of one request; the first one goes to another worker at once.
constexpr io::Duration retry_backoff = std::chrono::milliseconds(25);
constexpr io::Duration longest_backoff = std::chrono::milliseconds(250);
/// An answer that is no longer than this is gathered before its head goes on: it leaves in one piece, and if the worker
/// dies in the middle of it nobody has seen its half.
constexpr std::uint64_t gathered_answer = 8 * 1024;
/// A request that must not run twice is given a kept connection only if it was used so recently.
constexpr io::Duration fresh_enough = std::chrono::milliseconds(250);

/// The state of one exchange on its way: what its coroutines share. Lives in `forward`'s frame.
class Forwarding final : Exchange::Watcher, upstream::Occupant {
 public:
    Forwarding(Connection& client, Exchange& exchange, const RoutePlan& plan, Workspace& workspace)
        : client_(client), lane_(client.lane()), exchange_(exchange), plan_(plan), work_(workspace) {
        exchange_.watch(this);
    }
    ~Forwarding() { exchange_.watch(nullptr); }

    io::Task<void> run();

 private:
    const http::Request& request() const { return work_.request; }
    io::Task<Result<void>> attempt();
    upstream::AdmitHints hints();
    io::Task<Result<void>> admit_again();
    io::Task<void> back_off();
    io::Task<Result<void>> converse();
    io::Task<Result<void>> connect();
    io::Task<Result<void>> send_request();
    io::Task<Result<void>> await_answer();
    io::Task<Result<void>> upload();
    io::Task<Result<void>> wait_for_continue();
    io::Task<void> stop_upload();
    io::Task<void> relay();
    io::Task<void> relay_body(BodyPiece piece);
    io::Task<void> open_tunnel();
    io::Task<void> answer_locally(const Reason& why);
    bool is_small_answer() const {
        const http::Body& body = work_.response.body;
        return body.kind == Body::Kind::length && body.length > 0 && body.length <= gathered_answer &&
               !work_.response.switching;
    }
    FailedAttempt describe(errc error) const;
    bool too_large(std::uint64_t size) const { return plan_.route->max_body > 0 && size > plan_.route->max_body; }
    void start_response_clock();
    void give_up_connection(errc error);
    upstream::PoolCells& pool_cells() const { return plan_.pool->cells(lane_.reactor.index()); }
    io::TimePoint precise_now() const { return lane_.reactor.precise_now(); }
    ResponseExtras extras() const { return {lane_.wall.date(), work_.request_id, client_.stream().is_tls()}; }

    void client_gone() override;
    void cut() override;

    Connection& client_;
    Lane& lane_;
    Exchange& exchange_;
    const RoutePlan& plan_;
    Workspace& work_;

    upstream::AdmitCancel admit_cancel_;
    upstream::Admission admission_;
    std::unique_ptr<upstream::UpstreamConnection> connection_;
    std::optional<Http1Client> endpoint_;
    io::Task<Result<void>> upload_;
    io::Buffer head_buffer_;
    std::string_view head_;
    BodyPiece at_hand_;
    Body body_;
    std::uint64_t uploaded_ = 0;
    upstream::EndpointId avoid_ = 0;
    io::TimePoint sent_at_{};
    unsigned tries_ = 1;  ///< connections wanted so far, the present one included
    unsigned replays_ = 0;
    unsigned interim_ = 0;
    bool body_started_ = false;  ///< bytes of the body beyond `at_hand_` were taken from the client
    bool uploading_ = false;
    bool too_large_ = false;
    bool client_slow_ = false;  ///< the request body stopped coming
    bool client_cut_ = false;   ///< ... ended before its framing said so
    bool cut_ = false;
    Tunnel* tunnel_ = nullptr;  ///< while there is one
};

void Forwarding::client_gone() {
    admit_cancel_.cancel();
    if (connection_) connection_->socket().cancel();
}

void Forwarding::cut() {
    if (tunnel_ != nullptr) return tunnel_->close(http::ws_service_restart);
    cut_ = true;
    if (connection_) connection_->socket().cancel();
}

FailedAttempt Forwarding::describe(errc error) const {
    FailedAttempt failed;
    failed.error = error;
    failed.method = request().method;
    failed.answer_begun = endpoint_ && endpoint_->begun();
    failed.client_answered = exchange_.responded() || interim_ > 0;
    failed.whole_retained = !body_started_;
    failed.sent_at_once = !body_started_ && at_hand_.done;
    failed.sent_bytes = head_.size() + at_hand_.data.size();
    failed.peer_reset = endpoint_ && endpoint_->was_reset();
    failed.attempts = tries_;
    failed.replays = replays_;
    failed.allowed_retries = plan_.pool_config->connect_retries;
    if (admission_) {
        const upstream::Endpoint& endpoint = admission_.endpoint();
        failed.unix_socket = endpoint.address().is_unix();
        failed.managed = endpoint.is_worker();
        failed.worker_died = endpoint.is_worker() && endpoint.gone();
        if (failed.managed) failed.kind = plan_.pool_config->command.kind;
    }
    return failed;
}

io::Task<void> Forwarding::run() {
    body_ = request().body;
    if (body_.kind == Body::Kind::length && too_large(body_.length)) {
        co_await answer_locally(reason(Refusal::body_too_large));
        co_return;
    }
    at_hand_ = exchange_.body_at_hand();
    too_large_ = too_large(at_hand_.data.size());
    if (too_large_ || exchange_.body_error() != http::errc::ok) {
        co_await answer_locally(reason(Refusal::body_too_large));
        co_return;
    }
    for (;;) {
        const auto outcome = co_await attempt();
        if (outcome) break;
        const auto error = static_cast<errc>(outcome.error().value());
        const Verdict verdict = exchange_.client_gone() || cut_ || too_large_ || client_slow_ || client_cut_
                                    ? Verdict::give_up
                                    : decide(describe(error));
        give_up_connection(error);
        if (verdict == Verdict::give_up) {
            co_await answer_locally(reason(error));
            co_return;
        }
        if (verdict == Verdict::replay) ++replays_;
        // A place without a process behind it was no attempt at anything.
        if (verdict == Verdict::replay && upstream::nothing_sent(error)) --exchange_.record.attempts;
        ++tries_;
        pool_cells().count_retry(verdict == Verdict::replay      ? upstream::RetryReason::worker_gone
                                 : upstream::nothing_sent(error) ? upstream::RetryReason::connect_failure
                                                                 : upstream::RetryReason::stale_connection);
    }
}

/// Before the same request meets a worker again that may be dying: the master hears of a death within milliseconds.
io::Task<void> Forwarding::back_off() {
    const auto pause = std::min(retry_backoff * (1 << std::min(replays_, 4u)) / 2, longest_backoff);
    const auto slept = co_await io::Sleep{
        lane_.reactor, lane_.reactor.now() + std::chrono::duration_cast<io::TimePoint::duration>(pause)};
    static_cast<void>(slept);
}

upstream::AdmitHints Forwarding::hints() {
    upstream::AdmitHints hints;
    hints.avoid = avoid_;
    hints.cancel = &admit_cancel_;
    return hints;
}

/// A place for a request that met a worker's death, in `admission_`.
io::Task<Result<void>> Forwarding::admit_again() {
    const io::TimePoint asked = lane_.reactor.now();
    if (replays_ > 1) co_await back_off();
    for (bool again = true; again;) {
        auto admitted = co_await plan_.pool->admit(lane_.reactor, hints());
        if (!admitted) {
            exchange_.record.queue += lane_.reactor.now() - asked;
            co_return admitted.error();
        }
        admission_ = std::move(*admitted);
        again = admission_.endpoint().id() == avoid_;
        if (!again) break;
        co_await back_off();
        again = admission_.endpoint().gone();
        if (again) admission_ = {};
    }
    exchange_.record.queue += lane_.reactor.now() - asked;
    co_return Result<void>();
}

io::Task<Result<void>> Forwarding::attempt() {
    admin::ExchangeRecord& record = exchange_.record;
    if (replays_ > 0) {
        const auto admitted = co_await admit_again();
        if (!admitted) co_return admitted.error();
    } else {
        const io::TimePoint asked = lane_.reactor.now();
        auto admitted = co_await plan_.pool->admit(lane_.reactor, hints());
        record.queue += lane_.reactor.now() - asked;
        if (!admitted) co_return admitted.error();
        admission_ = std::move(*admitted);
    }
    ++record.attempts;
    record.endpoint = admission_.endpoint().name();
    admission_.occupy(*this);

    const bool careful = !http::is_idempotent(request().method);
    connection_ = admission_.take_idle(careful ? fresh_enough : io::Duration::max());
    if (!connection_) {
        const auto connected = co_await connect();
        if (!connected) co_return connected.error();
    }
    endpoint_.emplace(*connection_, work_.response, work_.response_trailers);
    sent_at_ = precise_now();
    auto outcome = co_await converse();
    if (upload_) co_await stop_upload();
    record.upstream_whole += precise_now() - sent_at_;
    co_return outcome;
}

/// A fresh connection, in `connection_`.
io::Task<Result<void>> Forwarding::connect() {
    const io::TimePoint asked = precise_now();
    const io::TimePoint deadline = io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.connect);
    auto connected = co_await admission_.connect(lane_.reactor, deadline);
    exchange_.record.connect += precise_now() - asked;
    if (!connected) co_return connected.error();
    connection_ = std::move(*connected);
    co_return Result<void>();
}

/// Request out, answer back. An error means that nothing of an answer reached the client.
io::Task<Result<void>> Forwarding::converse() {
    const auto sent = co_await send_request();
    if (!sent) co_return sent.error();
    const auto answered = co_await await_answer();
    if (!answered) co_return answered.error();
    exchange_.record.upstream_status = work_.response.status;
    if (work_.response.switching) {
        co_await open_tunnel();
    } else {
        co_await relay();
    }
    co_return Result<void>();
}

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
        write_request_head(out, request(), plan_.rules, work_.identity, work_.request_id, authority, framing,
                           scratch.span());
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
        if (!sent) co_return sent.error();
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

/// Reads heads until the final one; interim ones go on to the client.
io::Task<Result<void>> Forwarding::await_answer() {
    for (;;) {
        const auto read = co_await endpoint_->read_head(request().method);
        if (!read) co_return read.error();
        if (work_.response.switching) break;
        if (!work_.response.interim()) break;
        if (++interim_ > most_interim) co_return errc::bad_response;
        if (!filter_response(work_.response, plan_.rules, extras(), work_.head)) co_return errc::bad_response;
        const auto told = co_await exchange_.interim(work_.head);
        if (!told) co_return errc::cancelled;
    }
    exchange_.record.upstream = precise_now() - sent_at_;
    if (is_small_answer() && !endpoint_->has_body()) {
        const auto gathered = co_await endpoint_->gather(plan_.pool_config->timeouts.idle);
        if (!gathered) co_return gathered.error();
    }
    if (work_.response.switching &&
        !(request().websocket && http::opens_tunnel(work_.response, request().websocket_key)))
        co_return errc::bad_response;
    co_return Result<void>();
}

/// The answer goes to the client; the connection is kept if all of it was read and nothing is left to send.
io::Task<void> Forwarding::relay() {
    admission_.answered(work_.response.status, exchange_.record.upstream);
    if (!filter_response(work_.response, plan_.rules, extras(), work_.head)) {
        give_up_connection(errc::bad_response);
        co_await answer_locally(reason(Refusal::head_overflow));
        co_return;
    }
    connection_->socket().read_deadline(io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.idle));
    const BodyPiece first = endpoint_->body_at_hand();
    co_await relay_body(first);
    if (connection_ && !uploading_ && endpoint_->reusable()) {
        endpoint_.reset();
        admission_.give_back(std::move(connection_));
    }
}

io::Task<void> Forwarding::relay_body(BodyPiece piece) {
    if (piece.done && !work_.response_trailers.empty()) piece.done = false;  // they follow in a piece of their own
    const auto began = co_await exchange_.respond(work_.head, piece.data, piece.done);
    if (!began) {
        connection_->socket().cancel();
        co_return;
    }
    while (!piece.done) {
        connection_->socket().read_deadline(io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.idle));
        const auto next = co_await endpoint_->read_body();
        if (!next) {
            const auto error = static_cast<errc>(next.error().value());
            admission_.failed(error);
            exchange_.record.error = exchange_.client_gone() ? "client_gone" : reason(error).word;
            exchange_.abort();
            co_return;
        }
        piece = *next;
        std::span<const http::Field> trailers;
        if (piece.done) trailers = work_.response_trailers.fields();
        const auto sent = co_await exchange_.send(piece.data, piece.done, trailers);
        if (!sent) {
            exchange_.record.error = "client_gone";
            connection_->socket().cancel();
            co_return;
        }
        if (!piece.done) co_await lane_.reactor.yield();
    }
}

io::Task<void> Forwarding::open_tunnel() {
    exchange_.record.websocket = true;
    filter_response(work_.response, plan_.rules, extras(), work_.head);
    exchange_.become_tunnel();
    connection_->socket().read_deadline(io::never);
    const auto began = co_await exchange_.respond(work_.head, {}, false);
    if (!began) co_return;
    const upstream::Tunnel stay = admission_.to_tunnel();
    const config::Duration configured = plan_.route->websocket_idle;
    const io::Duration idle = configured.count() > 0 ? configured : client_.listener().timeouts.tunnel_idle;
    admin::TunnelCells& cells = lane_.cells->tunnels(exchange_.record.pool_index);
    cells.opened.add();
    Tunnel tunnel{lane_, exchange_, *endpoint_, *connection_, idle};
    tunnel_ = &tunnel;
    co_await tunnel.run();
    tunnel_ = nullptr;
    cells.closed.add();
}

void Forwarding::give_up_connection(errc error) {
    if (admission_) {
        avoid_ = admission_.endpoint().id();
        admission_.failed(error);
    }
    endpoint_.reset();
    connection_.reset();
    admission_ = {};
}

io::Task<void> Forwarding::answer_locally(const Reason& why) {
    if (exchange_.client_gone()) {
        exchange_.record.error = "client_gone";
        exchange_.abort();
        co_return;
    }
    if (exchange_.responded()) {
        exchange_.record.error = why.word;
        exchange_.abort();
        co_return;
    }
    Reason told = why;
    if (too_large_) told = reason(Refusal::body_too_large);
    if (client_slow_) told = reason(Refusal::request_timeout);
    if (client_cut_) told = reason(http::errc::truncated);
    if (exchange_.body_error() != http::errc::ok) told = reason(exchange_.body_error());
    std::vector<std::string> details;
    unsigned retry_after = 1;
    if (told.status == 503 && plan_.notes != nullptr) {
        PoolNotes::Note note = plan_.notes->get();
        retry_after = note.retry_after;
        if (lane_.snapshot->config->error_pages.details) details = std::move(note.last_lines);
    }
    const auto sent = co_await reply(exchange_, told, lane_.snapshot->config->error_pages, work_.head,
                                     lane_.wall.date(), work_.request_id, std::move(details), retry_after);
    static_cast<void>(sent);
}

}  // namespace

io::Task<void> forward(Connection& client, Exchange& exchange, const RoutePlan& plan, Workspace& workspace) {
    Forwarding forwarding{client, exchange, plan, workspace};
    co_await forwarding.run();
}

}  // namespace edgeproxy::proxy
