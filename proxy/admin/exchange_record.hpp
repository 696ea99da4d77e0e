// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/http/message.hpp"

namespace edgeproxy::admin {

/// What one finished request was: filled by the exchange while it goes on, handed over once at its end, to
/// `LaneCells::count` and `AccessLog::write`.
///
/// Views marked *static* must live as long as the program (literals, `word()`s, names out of `Names`). All other views
/// need to live only during the call that gets the record. Trivially copyable; empty views and zeroes mean "not known"
/// or "there was none".
///
/// THE TIME LINE. `start` is the moment when the request head was complete. From there
///   total           to the last byte of the answer given to the kernel (or the tunnel's end, or the failure)
///   queue           time in the pool's line (queued or held), all attempts together
///   connect         time in connects, all attempts together, failed ones too
///   upstream        of the last attempt: first byte of the request sent, to the head of the answer received
///   upstream_whole  all attempts together: first byte of the request sent, to the last byte of the answer received
///
/// A body that a slow client sends or takes flows while the endpoint is busy with it, so it is in `upstream_whole` and
/// not in the overhead.
struct ExchangeRecord {
    using Nanoseconds = std::chrono::nanoseconds;

    // who and where
    std::size_t listener_index = 0, route_index = 0, pool_index = 0;  ///< in `Registry`; 0 = none
    std::string_view listener, route, pool;                           ///< static: the names of these
    std::string_view endpoint;                                        ///< name of the last endpoint tried
    std::string_view client_ip;  ///< after trusted proxies were believed, without port
    std::string_view peer;       ///< of the connection, with port

    // what was asked
    http::Version protocol = http::Version::http11;
    std::string_view tls_version;  ///< static: "TLSv1.3"; empty when plain
    bool tls_resumed = false;
    std::string_view client_cert;  ///< subject of the client's certificate; empty without one
    bool websocket = false;        ///< became a tunnel (status 101, or 200 on HTTP/2)
    bool begun = false;            ///< `LaneCells::began` was called for this route
    bool has_query = false;
    http::Method method = http::Method::other;
    std::string_view method_text;  ///< the token as it came; empty when the head was not readable
    std::string_view scheme;       ///< static: "http" or "https"
    std::string_view host;         ///< as written, with port if it had one
    std::string_view path;         ///< as it came
    std::string_view query;        ///< what follows the first '?'
    std::string_view request_id, trace_id, referer, user_agent;

    // what came of it
    unsigned status = 0;           ///< of the final answer; 0 = the client was gone before one began (`none`)
    std::string_view error;        ///< static: why we answered ourselves or broke off, one word; empty = nothing failed
    unsigned attempts = 0;         ///< endpoints tried
    unsigned upstream_status = 0;  ///< of the endpoint's final answer, 0 = none came
    std::uint64_t bytes_in = 0;    ///< of the request's body (tunnel: from the client), without framing
    std::uint64_t bytes_out = 0;   ///< of the answer's body (tunnel: to the client), without framing

    // when
    std::chrono::system_clock::time_point start{};
    Nanoseconds total{}, queue{}, connect{}, upstream{}, upstream_whole{};

    /// What we added ourselves: total - queue - connect - upstream_whole, never below zero. Holds parsing, routing,
    /// rewriting, the wait for our own loop, and the last send.
    Nanoseconds overhead() const {
        const Nanoseconds rest = total - queue - connect - upstream_whole;
        return rest.count() > 0 ? rest : Nanoseconds::zero();
    }
};

/// Copies the texts of `record` that do not live as long as the program into `memory`, and lets it look there: for what
/// goes on when the request it came with is gone. `memory` must stay where it is as long as the record is used.
void keep_texts(ExchangeRecord& record, std::string& memory);

}  // namespace edgeproxy::admin
