// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/http/message.hpp"

namespace edgeproxy::admin {

/// What the metrics count of one request: noted by the exchange while it goes on, handed over once at its end, to
/// `LaneCells::count`. Small, because every request that waits for its answer holds one.
///
/// Trivially copyable; empty views and zeroes mean "not known" or "there was none". Views marked *static* live as long
/// as the program (literals, `word()`s, names out of `Names`).
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
struct ExchangeFigures {
    using Nanoseconds = std::chrono::nanoseconds;

    // where
    std::size_t route_index = 0, pool_index = 0;  ///< in `Registry`; 0 = none
    std::string_view listener, route, pool;       ///< static: the names of these
    std::string_view endpoint;                    ///< name of the last endpoint tried

    // what was asked
    http::Version protocol = http::Version::http11;
    http::Method method = http::Method::other;
    bool websocket = false;  ///< became a tunnel (status 101, or 200 on HTTP/2)
    bool begun = false;      ///< `LaneCells::began` was called for this route

    // what came of it
    unsigned status = 0;           ///< of the final answer; 0 = the client was gone before one began (`none`)
    unsigned attempts = 0;         ///< endpoints tried
    unsigned upstream_status = 0;  ///< of the endpoint's final answer, 0 = none came
    std::string_view error;        ///< static: why we answered ourselves or broke off, one word; empty = nothing failed
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

/// What the access log says of one request: its figures, and the texts, which are read off the request at its end. For
/// `AccessLog::write`. Views that are not *static* need to live only during the call that gets the record.
struct ExchangeRecord : ExchangeFigures {
    std::string_view client_ip;    ///< after trusted proxies were believed, without port
    std::string_view peer;         ///< of the connection, with port
    std::string_view tls_version;  ///< static: "TLSv1.3"; empty when plain
    std::string_view client_cert;  ///< subject of the client's certificate; empty without one
    bool tls_resumed = false;
    bool has_query = false;
    std::string_view method_text;  ///< the token as it came; empty when the head was not readable
    std::string_view scheme;       ///< static: "http" or "https"
    std::string_view host;         ///< as written, with port if it had one
    std::string_view path;         ///< as it came
    std::string_view query;        ///< what follows the first '?'
    std::string_view request_id, trace_id, referer, user_agent;
};

/// A record that has its texts itself: for what goes on when the request it came with is gone.
struct KeptRecord {
    explicit KeptRecord(const ExchangeRecord& from);
    KeptRecord(const KeptRecord&) = delete;
    KeptRecord& operator=(const KeptRecord&) = delete;

    ExchangeRecord record;

 private:
    std::string texts_;
};

}  // namespace edgeproxy::admin
