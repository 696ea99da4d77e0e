// SPDX-License-Identifier: Apache-2.0
#include "proxy/forward.hpp"

#include <exception>

#include "proxy/abandoned.hpp"
#include "proxy/forwarding.hpp"
#include "upstream/hang.hpp"

namespace edgeproxy::proxy {

using upstream::errc;
using upstream::Result;

namespace {

/// Pauses between replays of one request; the first one goes to another worker at once.
constexpr io::Duration retry_backoff = std::chrono::milliseconds(25);
constexpr io::Duration longest_backoff = std::chrono::milliseconds(250);
/// So long a request looks for a worker that does not refuse it, also where `hold` is less: one was replaced just now.
constexpr io::Duration least_search = std::chrono::seconds(1);
/// A request that must not run twice is given a kept connection only if it was used so recently.
constexpr io::Duration fresh_enough = std::chrono::milliseconds(250);

}  // namespace

void Forwarding::client_gone() {
    admit_cancel_.cancel();
    if (turn_ != nullptr) turn_->cancel();
    if (endpoint_ != nullptr) endpoint_->cancel();
}

void Forwarding::cut() {
    if (tunnel_ != nullptr) return tunnel_->close(http::ws_service_restart);
    cut_ = true;
    if (turn_ != nullptr) turn_->cancel();
    if (endpoint_ != nullptr) endpoint_->cancel();
}

void Forwarding::close_tunnel() {
    if (tunnel_ != nullptr) tunnel_->close(http::ws_service_restart);
}

/// Sent, and nothing came back. Not once a body is on its way: then a worker may stop reading on purpose.
bool Forwarding::is_pending() const {
    return http1_ && !http1_->begun() && !body_started_;
}

bool Forwarding::is_unread(io::TimePoint now, io::Duration patience) const {
    if (!is_pending() || sent_at_ + patience > now) return false;
    return upstream::unread_bytes(http1_->connection().socket().fd()) > 0;
}

void Forwarding::go_elsewhere(bool stopped) {
    if (!is_pending() || !http::is_idempotent(request().method)) return;  // a tunnel has no request any more
    if (!stopped && !is_unread(precise_now(), {})) return;
    moved_ = true;
    endpoint_->cancel();
}

/// A WebSocket handshake is HTTP/1.1, which an endpoint of HTTP/2 need not speak: what it says to that is no failure,
/// or anybody could have it taken out by asking.
errc Forwarding::judge(errc error) {
    if (!request().websocket || !admission_) return error;
    const upstream::Endpoint& endpoint = admission_.endpoint();
    if (endpoint.identity().transport.http == upstream::Transport::Http::one) return error;
    const bool unread = http1_ && (!answer_ || answer_->response.status == 0);
    switch (error) {
        case errc::tls_alert:
            return errc::no_http1;
        case errc::bad_response:
            return unread ? errc::no_http1 : error;
        case errc::closed_early:
        case errc::reset:
        case errc::response_truncated:
            return unread && !endpoint.is_worker() ? errc::no_http1 : error;
        default:
            return error;
    }
}

FailedAttempt Forwarding::describe_failure(errc error) const {
    FailedAttempt failed;
    failed.error = error;
    failed.method = request().method;
    failed.answer_begun = endpoint_ != nullptr && endpoint_->begun();
    failed.client_answered = exchange_.responded() || interim_ > 0;
    failed.whole_retained = !body_started_;
    // A chunked body leaves behind its head, in a send of its own.
    failed.sent_at_once = !body_started_ && at_hand_.done && body_.kind != http::Body::Kind::chunked;
    failed.sent_bytes = head_size_ + at_hand_.data.size();
    failed.peer_reset = endpoint_ != nullptr && endpoint_->was_reset();
    failed.attempts = tries_;
    failed.replays = replays_;
    failed.deaths = deaths_;
    failed.hangs = hangs_;
    failed.moved = moved_;
    failed.allowed_retries = plan_.pool_config->connect_retries;
    failed.held_too_long =
        refused_since_ != io::never &&
        precise_now() - refused_since_ >= std::max<io::Duration>(plan_.pool_config->hold, least_search);
    if (admission_) {
        const upstream::Endpoint& endpoint = admission_.endpoint();
        failed.unix_socket = endpoint.address().is_unix();
        failed.managed = endpoint.is_worker();
        failed.worker_died = endpoint.is_worker() && endpoint.gone();
        failed.worker_hung = endpoint.is_worker() && endpoint.condemned();
        if (failed.managed) failed.kind = plan_.pool_config->command.kind;
    }
    return failed;
}

const Reason* Forwarding::begin() {
    if (request().websocket && !place_.take(*plan_.tunnels, plan_.route->max_tunnels))
        return &reason(Refusal::tunnel_limit);
    body_ = request().body;
    if (body_.kind == http::Body::Kind::length && too_large(body_.length)) return &reason(Refusal::body_too_large);
    at_hand_ = exchange_.body_at_hand();
    too_large_ = too_large(at_hand_.data.size());
    return too_large_ || exchange_.body_error() != http::errc::ok ? &reason(Refusal::body_too_large) : nullptr;
}

const Reason* Forwarding::give_up(errc why) {
    const errc error = judge(why);
    if (!upstream::nothing_sent(error)) {
        refused_since_ = io::never;
    } else if (refused_since_ == io::never) {
        refused_since_ = precise_now();
    }
    const FailedAttempt failed = describe_failure(error);
    const Verdict verdict =
        exchange_.client_gone() || cut_ || too_large_ || stalled_ || client_slow_ || client_cut_ || blameless_
            ? Verdict::give_up
            : decide(failed);
    const bool moved = std::exchange(moved_, false);
    if (failed.worker_hung) ++hangs_;
    give_up_connection(stalled_ ? errc::write_timeout : error);
    if (verdict == Verdict::give_up) {
        if (no_descriptor_) return &reason(Refusal::no_descriptor);
        if (cut_) return &reason(Refusal::drain_timeout);
        return &reason(failed.worker_hung ? errc::response_timeout : error);
    }
    if (verdict == Verdict::replay && !upstream::nothing_sent(error)) {
        ++replays_;
        if (!moved && !failed.peer_reset) ++deaths_;
    }
    // A place without a process behind it was no attempt at anything.
    if (verdict == Verdict::replay && upstream::nothing_sent(error)) --exchange_.figures.attempts;
    ++tries_;
    pool_cells().count_retry(moved                           ? upstream::RetryReason::worker_suspect
                             : verdict == Verdict::replay    ? upstream::RetryReason::worker_gone
                             : upstream::nothing_sent(error) ? upstream::RetryReason::connect_failure
                                                             : upstream::RetryReason::stale_connection);
    return nullptr;
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
    if (replays_ > 1) co_await back_off();
    for (bool again = true; again;) {
        auto admitted = co_await plan_.pool->admit(lane_.reactor, hints());
        if (!admitted) co_return admitted.error();
        admission_ = std::move(*admitted);
        again = admission_.endpoint().id() == avoid_;
        if (!again) break;
        co_await back_off();
        again = admission_.endpoint().gone();
        if (again) admission_ = {};
    }
    co_return Result<void>();
}

Result<void> Forwarding::enter(Result<upstream::Admission>& admitted) {
    if (!admitted) return admitted.error();
    admission_ = std::move(*admitted);
    return {};
}

io::Task<Result<void>> Forwarding::attempt() {
    admin::ExchangeFigures& figures = exchange_.figures;
    Result<void> outcome;
    const io::TimePoint asked = lane_.reactor.now();
    if (replays_ > 0) {
        outcome = co_await admit_again();
    } else {
        auto admitted = co_await plan_.pool->admit(lane_.reactor, hints());
        outcome = enter(admitted);
    }
    figures.queue += lane_.reactor.now() - asked;
    if (!outcome) co_return outcome;
    ++figures.attempts;
    figures.endpoint = admission_.cells().name;
    admission_.occupy(*this);
    if (may_share() || !take_kept()) outcome = co_await open();
    // While the connection was made it could not be cancelled; and nothing was sent.
    if (std::exchange(cut_, false)) outcome = errc::connect_refused;
    if (outcome && exchange_.client_gone()) outcome = errc::cancelled;
    if (!outcome) co_return outcome;

    // Request out, answer back.
    sent_at_ = precise_now();
    const bool waits = request().expect_continue && !at_hand_.done;
    if (!write_head(waits)) {
        head_overflow_ = blameless_ = true;
        outcome = errc::bad_response;
    }
    if (outcome) outcome = co_await endpoint_->send(outgoing());
    head_buffer_.release();
    if (outcome && goes_on()) {
        outcome = co_await start_upload(waits);
    } else if (outcome) {
        start_response_clock();
    }
    if (outcome) outcome = co_await endpoint_->read_head(request().method);
    while (outcome && answer_->response.interim()) outcome = co_await pass_interim();
    if (outcome) outcome = judge_answer();
    if (outcome && is_small_answer() && !endpoint_->has_body())
        outcome = co_await endpoint_->gather(lane_.reactor.now() + gathering);
    if (outcome) {
        figures.upstream_status = answer_->response.status;
        // Not awaited as a conditional expression, of which g++ 12 makes wrong code.
        io::Task<void> rest = answer_->response.switching ? open_tunnel() : relay();
        co_await rest;
    }
    if (upload_) co_await stop_upload();
    figures.upstream_whole += precise_now() - sent_at_;
    co_return outcome;
}

/// A kept connection of HTTP/1.1. False: there is none.
bool Forwarding::take_kept() {
    const bool careful = !http::is_idempotent(request().method);
    auto kept = admission_.take_idle(careful ? fresh_enough : io::Duration::max());
    if (kept) use(std::move(kept));
    return endpoint_ != nullptr;
}

/// A connection that has room, or a fresh one, in `endpoint_`.
io::Task<Result<void>> Forwarding::open() {
    const io::TimePoint asked = precise_now();
    const io::TimePoint deadline = io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.connect);
    upstream::SharedConnections::Turn turn;
    Result<void> opened;
    if (may_share()) opened = co_await open_shared(turn, deadline);
    if (opened && endpoint_ == nullptr) opened = co_await connect(deadline);
    exchange_.figures.connect += precise_now() - asked;
    co_return opened;
}

/// A place on a connection that others use too, or the turn to open one.
io::Task<Result<void>> Forwarding::open_shared(upstream::SharedConnections::Turn& turn, io::TimePoint deadline) {
    upstream::SharedConnections& shared = admission_.share().shared;
    for (;;) {
        if (upstream::SharedConnection* const found = shared.find()) {
            use(static_cast<Http2Upstream&>(*found));
            admission_.cells().reused.add();
            co_return Result<void>();
        }
        // The endpoint may have chosen HTTP/1.1.
        if (take_kept() || !shared.expected() || turn.take(shared)) co_return Result<void>();
        io::Event event{lane_.reactor};
        const upstream::SharedConnections::Wait wait{shared, event};
        turn_ = &event;
        const auto waited = co_await event.wait(deadline);
        turn_ = nullptr;
        if (waited) continue;
        co_return waited.error() == io::errc::timed_out ? errc::connect_timeout : errc::cancelled;
    }
}

/// A fresh connection.
io::Task<Result<void>> Forwarding::connect(io::TimePoint deadline) {
    const std::uint64_t before = lane_.reactor.connects_without_descriptor();
    auto connected = co_await admission_.connect(lane_.windows, deadline, request().websocket);
    if (!connected && lane_.reactor.connects_without_descriptor() != before) {
        no_descriptor_ = blameless_ = true;
        lane_.cells->hit(admin::Limit::descriptors);
    }
    if (!connected) co_return connected.error();
    upstream::SharedConnections& shared = admission_.share().shared;
    if (!request().websocket) shared.expect((*connected)->is_http2());
    if (!(*connected)->is_http2()) {
        use(std::move(*connected));
        co_return Result<void>();
    }
    const Http2Upstream::Hold fresh = Http2Upstream::start(lane_, std::move(*connected), *plan_.pool_config);
    const auto greeted = co_await fresh->greeted(deadline);
    if (!greeted) co_return greeted.error();
    const bool kept = shared.add(*fresh);
    use(*fresh);
    if (!kept) fresh->retire();  // not before it has the request, or it would end at once
    co_return Result<void>();
}

void Forwarding::drop_endpoint() {
    endpoint_ = nullptr;
    http1_.reset();
    http2_.reset();
}

/// A worker has the request, or part of it, and has not answered.
bool Forwarding::is_busy() const {
    return http1_ && admission_ && admission_.endpoint().is_worker() && !http1_->begun();
}

void Forwarding::abandon() {
    const io::TimePoint deadline = io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.response);
    lane_.reactor.spawn(
        wait_for_abandoned(http1_->release_connection(), std::move(admission_), work_.snapshot, deadline));
}

void Forwarding::give_up_connection(errc error) {
    leave();  // what becomes of that endpoint is of no interest any more
    if (admission_) {
        avoid_ = admission_.endpoint().id();
        if (!blameless_) admission_.failed(error);
    }
    if (exchange_.client_gone() && is_busy()) abandon();
    drop_endpoint();
    admission_ = {};
    answer_.release();  // the next attempt's is another
}

io::Task<void> forward(Connection& client, Exchange& exchange, const RoutePlan& plan, Workspace& workspace) {
    Forwarding forwarding{client, exchange, plan, workspace};
    const Reason* refused = forwarding.begin();
    while (refused == nullptr) {
        Result<void> outcome;
        std::exception_ptr failed;  // there is no memory; an upload must have ended before this frame goes
        try {
            outcome = co_await forwarding.attempt();
        } catch (...) {
            failed = std::current_exception();
        }
        if (failed) {
            try {
                co_await forwarding.stop_upload();
            } catch (...) {
                // It ended for want of memory too.
            }
            exchange.abort();
            std::rethrow_exception(failed);
        }
        if (outcome) co_return;
        refused = forwarding.give_up(static_cast<errc>(outcome.error().value()));
    }
    co_await forwarding.answer_locally(*refused);
}

}  // namespace edgeproxy::proxy
