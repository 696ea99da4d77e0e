// SPDX-License-Identifier: Apache-2.0
#include "proxy/retry.hpp"

namespace edgeproxy::proxy {
namespace {

/// Servers whose first read on a connection takes at least `one_read` bytes.
bool reads_whole(config::Kind kind) {
    return kind == config::Kind::uvicorn || kind == config::Kind::gunicorn || kind == config::Kind::hypercorn ||
           kind == config::Kind::daphne;
}

bool never_read(const FailedAttempt& attempt) {
    return attempt.peer_reset && attempt.unix_socket && attempt.sent_at_once && attempt.sent_bytes <= one_read &&
           reads_whole(attempt.kind);
}

Verdict costing(const FailedAttempt& attempt, bool free) {
    if (free) return attempt.replays < most_replays ? Verdict::replay : Verdict::give_up;
    // A connect that failed may try one endpoint more than other failures, where there are retries at all.
    const bool one_more = upstream::nothing_sent(attempt.error) && attempt.allowed_retries > 0;
    const unsigned allowed = attempt.allowed_retries + (one_more ? 1 : 0);
    return attempt.attempts - attempt.replays <= allowed ? Verdict::retry : Verdict::give_up;
}

}  // namespace

Verdict decide(const FailedAttempt& attempt) {
    using upstream::errc;
    if (attempt.client_answered) return Verdict::give_up;
    // Half an answer that the client has not seen is as good as none, if asking twice does no harm: a DELETE that
    // worked would find nothing the second time.
    if (attempt.answer_begun && !http::is_safe(attempt.method)) return Verdict::give_up;
    if (attempt.moved) {
        const bool may_run_twice = http::is_idempotent(attempt.method) && attempt.whole_retained;
        return may_run_twice ? costing(attempt, true) : Verdict::give_up;
    }
    if (upstream::nothing_sent(attempt.error)) {
        // A worker that refuses is dead or dying and is not chosen again soon.
        const bool searches_on = attempt.attempts < most_attempts && !attempt.held_too_long;
        if (attempt.managed) return searches_on ? Verdict::replay : Verdict::give_up;
        return costing(attempt, false);
    }
    if (!attempt.whole_retained) return Verdict::give_up;
    // RFC 9113, section 8.7: whatever the method.
    if (attempt.error == errc::refused_stream) return costing(attempt, false);
    switch (attempt.error) {
        case errc::stale_connection:
        case errc::closed_early:
        case errc::reset:
        case errc::response_truncated:
            break;
        default:
            return Verdict::give_up;
    }
    if (!http::is_idempotent(attempt.method) && !never_read(attempt)) return Verdict::give_up;
    if (attempt.worker_hung && attempt.hangs > 0 && !never_read(attempt)) return Verdict::give_up;
    if (attempt.managed && attempt.deaths >= most_deaths && !attempt.peer_reset) return Verdict::give_up;
    // A fresh connection that ends without an answer is the endpoint's own failure; only a worker's end excuses it.
    const bool death = attempt.worker_died || attempt.managed;
    return costing(attempt, death);
}

}  // namespace edgeproxy::proxy
