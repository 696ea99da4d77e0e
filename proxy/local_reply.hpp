// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "proxy/exchange.hpp"
#include "proxy/http/error.hpp"
#include "upstream/error.hpp"

namespace edgeproxy::proxy {

/// Reasons for an answer of our own that are neither a malformed request nor an endpoint's failure.
enum class Refusal : std::uint8_t {
    no_route,          ///< 404
    ambiguous_target,  ///< 400: another reading of the path leads elsewhere
    body_too_large,    ///< 413
    request_timeout,   ///< 408: the client was too slow
    plain_http,        ///< 400: HTTP spoken to a TLS port
    head_overflow,     ///< 502: the head did not fit once rewritten
    websocket_off,     ///< 403: the route takes no WebSockets
    bad_origin,        ///< 403: a page from elsewhere asks for a WebSocket
    tunnel_limit,      ///< 503: the route's `max_tunnels` are open
    misdirected,       ///< 421
    bad_proxy_header,  ///< 400: a trusted proxy did not begin with a PROXY header
    memory,            ///< 503: memory is short
    overload,          ///< 503: the loop lags
    no_descriptor,     ///< 503: no descriptor is left for a connection to an endpoint
    rate_limited,      ///< 429: the source asks too often
    drain_timeout,     ///< 504: its worker was replaced, and it took longer than `drain_timeout`
    internal           ///< 500
};

/// One row of the table: how a reason is told to clients, the log and the metrics.
struct Reason {
    unsigned status;
    std::string_view
        word;  ///< RFC 9209's token where there is one; `error` of the log, `reason` of the metrics, static storage
    std::string_view sentence;  ///< for people
    bool retry_after = false;   ///< the answer carries Retry-After
};

/// The one table of reasons. Total: every value has a row.
const Reason& reason(Refusal refusal);
const Reason& reason(upstream::errc error);
Reason reason(http::errc error);

/// Answers with an error page for `why`, in the format that the client asks for (gRPC clients: by grpc-status), and
/// notes it in the figures. Asks for nothing more from the client. `details`: the last lines of a failed worker, shown
/// if not empty. Fails only when the client is gone.
io::Task<io::Result<void>> reply(Exchange& exchange, const Reason& why, const config::ErrorPages& pages,
                                 ResponseHead& head, std::string_view date, std::string_view request_id,
                                 std::vector<std::string> details = {}, unsigned retry_after = 1);

}  // namespace edgeproxy::proxy
