// SPDX-License-Identifier: Apache-2.0
#include "proxy/http1_server.hpp"

#include "proxy/dispatch.hpp"
#include "proxy/http1_exchange.hpp"
#include "proxy/local_reply.hpp"

namespace edgeproxy::proxy {
namespace {

/// One request and its answer. True: the connection goes on, with `input` as what was read too much.
io::Task<bool> serve_one(Connection& connection, Input& input, bool last) {
    Http1Exchange exchange{connection, std::move(input)};
    const Http1Exchange::Head head = co_await exchange.read_head();
    if (head == Http1Exchange::Head::closed) co_return false;
    if (last || head != Http1Exchange::Head::complete) exchange.keep_no_more();
    switch (head) {
        case Http1Exchange::Head::closed:
            break;
        case Http1Exchange::Head::malformed:
            co_await refuse(connection, exchange, exchange.workspace(), exchange.head_error());
            break;
        case Http1Exchange::Head::slow:
            connection.lane().cells->hit(admin::Limit::header);
            co_await refuse(connection, exchange, exchange.workspace(), reason(Refusal::request_timeout));
            break;
        case Http1Exchange::Head::complete:
            co_await dispatch(connection, exchange, exchange.workspace());
            break;
    }
    if (exchange.finish()) {
        input = exchange.take_input();
        co_return true;
    }
    co_await exchange.end();
    co_return false;
}

/// Requests of one connection that lie there already and are served in one turn of the loop. Answers of our own wait
/// for nobody, so a client that pipelines them would keep all others waiting.
constexpr unsigned most_in_a_turn = 8;

}  // namespace

io::Task<void> serve_http1(Connection& connection) {
    Input input;
    for (unsigned served = 0, in_a_row = 0;; ++served) {
        bool asked_to_end = false;
        if (!input.empty() && ++in_a_row == most_in_a_turn) {
            in_a_row = 0;
            co_await connection.lane().reactor.yield();
        }
        if (input.empty()) {
            in_a_row = 0;
            if (connection.closing() && !connection.patient() && served > 0 && !connection.socket().has_input())
                co_return;
            const config::ListenerTimeouts& timeouts = connection.listener().timeouts;
            connection.socket().read_deadline(
                io::deadline_after(connection.now(), served == 0 ? timeouts.first_request : timeouts.keepalive));
            connection.idle(true);
            const auto readable = co_await connection.stream().wait_readable();
            connection.idle(false);
            if (!readable && served == 0 && readable.error() == io::errc::timed_out)
                connection.lane().cells->hit(admin::Limit::first_request);
            asked_to_end = !readable && readable.error() == io::errc::cancelled;
            if (!readable && !(asked_to_end && connection.socket().has_input())) co_return;
        }
        const unsigned most = connection.listener().limits.requests_per_connection;
        const bool last = asked_to_end || (most > 0 && served + 1 >= most) || connection.now() >= connection.old_at();
        const bool again = co_await serve_one(connection, input, last);
        if (!again) co_return;
    }
}

namespace {

/// The answer to a connection that has brought no request.
io::Task<void> refuse_connection(Connection& connection, Refusal why) {
    Http1Exchange exchange{connection, {}};
    exchange.keep_no_more();
    co_await refuse(connection, exchange, exchange.workspace(), reason(why));
    exchange.finish();
    co_await exchange.end();
}

}  // namespace

io::Task<void> refuse_plain_http(Connection& connection) {
    return refuse_connection(connection, Refusal::plain_http);
}

io::Task<void> refuse_proxy_header(Connection& connection) {
    return refuse_connection(connection, Refusal::bad_proxy_header);
}

}  // namespace edgeproxy::proxy
