// SPDX-License-Identifier: Apache-2.0
#include "proxy/retry.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using http::Method;
using upstream::errc;

namespace {

FailedAttempt failed(errc error, Method method) {
    FailedAttempt attempt;
    attempt.error = error;
    attempt.method = method;
    return attempt;
}

/// A request that a managed uvicorn's unix socket reset before it read anything.
FailedAttempt unread(Method method) {
    FailedAttempt attempt = failed(errc::reset, method);
    attempt.managed = attempt.unix_socket = attempt.peer_reset = attempt.sent_at_once = true;
    attempt.kind = config::Kind::uvicorn;
    attempt.sent_bytes = 400;
    return attempt;
}

}  // namespace

TEST_CASE("a request that was never sent may go elsewhere, whatever its method", "[proxy][retry]") {
    const auto method = GENERATE(Method::get, Method::post, Method::other);
    CHECK(decide(failed(errc::connect_refused, method)) == Verdict::retry);
    CHECK(decide(failed(errc::connect_timeout, method)) == Verdict::retry);
    FailedAttempt often = failed(errc::connect_refused, method);
    often.attempts = 3;
    CHECK(decide(often) == Verdict::give_up);
}

TEST_CASE("what a living worker does not read goes elsewhere only if it may run twice", "[proxy][retry]") {
    const auto [method, verdict] = GENERATE(table<Method, Verdict>({{Method::get, Verdict::replay},
                                                                    {Method::head, Verdict::replay},
                                                                    {Method::put, Verdict::replay},
                                                                    {Method::post, Verdict::give_up},
                                                                    {Method::patch, Verdict::give_up}}));
    FailedAttempt attempt = unread(method);
    attempt.error = errc::cancelled;
    attempt.peer_reset = false;
    attempt.moved = true;
    CHECK(decide(attempt) == verdict);
    attempt.whole_retained = false;
    CHECK(decide(attempt) == Verdict::give_up);
}

TEST_CASE("a request that a hung worker had read meets one more worker, and no third one", "[proxy][retry]") {
    FailedAttempt attempt = failed(errc::closed_early, Method::get);
    attempt.managed = attempt.unix_socket = attempt.worker_died = attempt.worker_hung = true;
    CHECK(decide(attempt) == Verdict::replay);
    attempt.hangs = 1;
    CHECK(decide(attempt) == Verdict::give_up);
    attempt.method = Method::post;
    attempt.hangs = 0;
    CHECK(decide(attempt) == Verdict::give_up);
    // What it never read cannot have made it hang.
    FailedAttempt innocent = unread(GENERATE(Method::get, Method::post));
    innocent.worker_hung = innocent.worker_died = true;
    innocent.hangs = 3;
    CHECK(decide(innocent) == Verdict::replay);
}

TEST_CASE("a refused stream may be sent again, whatever its method, if all of it is here", "[proxy][retry]") {
    FailedAttempt attempt = failed(errc::refused_stream, GENERATE(Method::get, Method::post, Method::other));
    CHECK(decide(attempt) == Verdict::retry);
    attempt.attempts = 2;
    CHECK(decide(attempt) == Verdict::give_up);
    attempt.attempts = 1;
    attempt.whole_retained = false;
    CHECK(decide(attempt) == Verdict::give_up);
}

TEST_CASE("a failed handshake sent nothing", "[proxy][retry]") {
    const auto error = GENERATE(errc::tls_failed, errc::tls_alert, errc::certificate_untrusted,
                                errc::certificate_expired, errc::certificate_wrong_host, errc::no_http2);
    CHECK(decide(failed(error, Method::post)) == Verdict::retry);
}

TEST_CASE("a worker that refuses costs nothing, within reason", "[proxy][retry]") {
    FailedAttempt attempt = failed(errc::connect_refused, Method::post);
    attempt.managed = true;
    attempt.attempts = 20;
    CHECK(decide(attempt) == Verdict::replay);
    attempt.attempts = most_attempts;
    CHECK(decide(attempt) == Verdict::give_up);
    attempt.attempts = 20;
    attempt.held_too_long = true;
    CHECK(decide(attempt) == Verdict::give_up);
}

TEST_CASE("no retries means none", "[proxy][retry]") {
    FailedAttempt attempt = failed(GENERATE(errc::connect_refused, errc::stale_connection), Method::get);
    attempt.allowed_retries = 0;
    CHECK(decide(attempt) == Verdict::give_up);
}

TEST_CASE("a stale connection is tried again only for methods that may run twice", "[proxy][retry]") {
    CHECK(decide(failed(errc::stale_connection, Method::get)) == Verdict::retry);
    CHECK(decide(failed(errc::stale_connection, Method::put)) == Verdict::retry);
    CHECK(decide(failed(errc::stale_connection, Method::post)) == Verdict::give_up);
    CHECK(decide(failed(errc::stale_connection, Method::patch)) == Verdict::give_up);
}

TEST_CASE("a POST is replayed only when it is proven unread", "[proxy][retry]") {
    CHECK(decide(unread(Method::post)) == Verdict::replay);
    SECTION("in two sends") {
        FailedAttempt attempt = unread(Method::post);
        attempt.sent_at_once = false;
        CHECK(decide(attempt) == Verdict::give_up);
    }
    SECTION("more than one read takes") {
        FailedAttempt attempt = unread(Method::post);
        attempt.sent_bytes = one_read + 1;
        CHECK(decide(attempt) == Verdict::give_up);
    }
    SECTION("a clean end: it was read") {
        FailedAttempt attempt = unread(Method::post);
        attempt.error = errc::closed_early;
        attempt.peer_reset = false;
        CHECK(decide(attempt) == Verdict::give_up);
    }
    SECTION("TCP tells nothing") {
        FailedAttempt attempt = unread(Method::post);
        attempt.unix_socket = false;
        CHECK(decide(attempt) == Verdict::give_up);
    }
    SECTION("a server that we do not know") {
        FailedAttempt attempt = unread(Method::post);
        attempt.kind = config::Kind::generic;
        CHECK(decide(attempt) == Verdict::give_up);
    }
}

TEST_CASE("a GET outlives the death of its worker, but not of everybody who reads it", "[proxy][retry]") {
    FailedAttempt attempt = unread(Method::get);
    attempt.error = errc::closed_early;
    CHECK(decide(attempt) == Verdict::replay);
    attempt.replays = most_replays;
    CHECK(decide(attempt) == Verdict::give_up);
}

TEST_CASE("a request meets two workers more after one that may have died of it, and no fourth one", "[proxy][retry]") {
    FailedAttempt attempt = failed(errc::closed_early, Method::get);
    attempt.managed = attempt.unix_socket = attempt.worker_died = true;
    attempt.deaths = attempt.replays = most_deaths - 1;
    CHECK(decide(attempt) == Verdict::replay);
    attempt.deaths = attempt.replays = most_deaths;
    CHECK(decide(attempt) == Verdict::give_up);
    // Who is killed before it has read all of it dies of something else.
    FailedAttempt innocent = unread(GENERATE(Method::get, Method::post));
    innocent.deaths = innocent.replays = most_deaths;
    CHECK(decide(innocent) == Verdict::replay);
}

TEST_CASE("an answer that has begun, a body that is gone and a timeout are final", "[proxy][retry]") {
    FailedAttempt begun = unread(Method::get);
    begun.client_answered = true;
    CHECK(decide(begun) == Verdict::give_up);
    FailedAttempt gone = unread(Method::put);
    gone.whole_retained = false;
    CHECK(decide(gone) == Verdict::give_up);
    CHECK(decide(failed(errc::response_timeout, Method::get)) == Verdict::give_up);
    CHECK(decide(failed(errc::bad_response, Method::get)) == Verdict::give_up);
    CHECK(decide(failed(errc::queue_full, Method::get)) == Verdict::give_up);
}

TEST_CASE("half an answer that nobody has seen counts as none for a method that changes nothing", "[proxy][retry]") {
    FailedAttempt half = unread(Method::get);
    half.error = errc::response_truncated;
    half.answer_begun = true;
    CHECK(decide(half) == Verdict::replay);
    half.method = GENERATE(Method::post, Method::put, Method::delete_);
    CHECK(decide(half) == Verdict::give_up);
}

TEST_CASE(
    "whatever its socket, a worker that ends without an answer costs a GET nothing; a server of somebody else's costs "
    "an attempt",
    "[proxy][retry]") {
    FailedAttempt attempt = failed(errc::closed_early, Method::get);
    attempt.managed = true;
    attempt.attempts = 4;
    attempt.replays = 3;  // of a worker's that read nothing
    CHECK(decide(attempt) == Verdict::replay);
    attempt.managed = false;
    attempt.replays = 0;
    CHECK(decide(attempt) == Verdict::give_up);
}
