// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/admin/exchange_record.hpp"
#include "proxy/admin/keyed_cells.hpp"
#include "proxy/admin/names.hpp"
#include "proxy/http/error.hpp"
#include "proxy/http/http2_budget.hpp"
#include "upstream/counters.hpp"

/// What the proxy's own layer counts: plain cells, one set per reactor ("lane"), written by that reactor alone and
/// summed at a scrape. Names and labels are given in metrics.cpp only.
namespace edgeproxy::admin {

using upstream::Cell;

/// Upper bounds in nanoseconds, as in upstream/counters.hpp.
inline constexpr std::array<std::int64_t, 10> handshake_bounds{1'000'000,   2'500'000,    5'000'000,   10'000'000,
                                                               25'000'000,  50'000'000,   100'000'000, 250'000'000,
                                                               500'000'000, 1'000'000'000};
inline constexpr std::array<std::int64_t, 9> start_bounds{100'000'000,    250'000'000,    500'000'000,
                                                          1'000'000'000,  2'500'000'000,  5'000'000'000,
                                                          10'000'000'000, 30'000'000'000, 60'000'000'000};
using HandshakeHistogram = upstream::Histogram<handshake_bounds>;
/// Of a worker: spawn to the first answered probe. Kept by the control thread, one per pool.
using StartHistogram = upstream::Histogram<start_bounds>;

/// A number that goes up and down with one writing thread.
class Level {
 public:
    void add(std::int64_t by) { value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
    std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<std::int64_t> value_{0};
};

// ---- connections

/// Why an accepted connection was closed unserved.
enum class Refusal : std::uint8_t {
    descriptor_limit,   ///< no descriptor is left
    handshake_rate,     ///< too many TLS handshakes of one source
    handshake_limit,    ///< too many under way: accepting paused, or one that dawdled was closed
    source_limit,       ///< its source has as many connections as it may
    bad_proxy_header,   ///< a trusted proxy that does not begin with a PROXY header
    late_proxy_header,  ///< ... or not in time
    count_
};
inline constexpr std::size_t refusals = static_cast<std::size_t>(Refusal::count_);
std::string_view word(Refusal reason);

/// A limit that made us act: the label of `edgeproxy_limit_hits_total`, named as its key.
enum class Limit : std::uint8_t {
    max_connections,  ///< an idle connection was closed for a newcomer, or accept paused
    descriptors,      ///< none left: accept paused, or a connection to an endpoint was not made
    connections_per_source,
    requests_per_source,
    streams_per_source,  ///< a stream was refused
    loop_lag,            ///< a request was answered 503
    memory_saving,       ///< an idle connection was closed
    memory_refusing,     ///< a request was answered 503
    memory_cutting,      ///< a connection or a stream was reset
    first_request,
    header,
    body,
    body_rate,
    write,
    response_rate,
    proxy_protocol,
    count_
};
inline constexpr std::size_t limits = static_cast<std::size_t>(Limit::count_);
std::string_view word(Limit limit);

/// How a TLS handshake ended. Words of RFC 9209 where it has one.
enum class HandshakeResult : std::uint8_t {
    ok,
    timeout,         ///< `timeouts.handshake`
    closed,          ///< the client went away
    alert_received,  ///< `tls_alert_received`
    protocol_error,  ///< `tls_protocol_error`: not TLS that we speak
    plain_http,      ///< an HTTP request came instead
    no_protocol,     ///< no protocol of ALPN in common
    unknown_host,    ///< SNI refused
    nothing_shared,  ///< no version, cipher suite or group in common
    too_large,       ///< the ClientHello, or all of the handshake
    no_client_certificate,
    client_revoked,
    client_expired,
    client_unknown_ca,
    client_invalid,
    count_
};
inline constexpr std::size_t handshake_results = static_cast<std::size_t>(HandshakeResult::count_);
std::string_view word(HandshakeResult result);

/// `none` until it is known, that is during the TLS handshake.
enum class ConnectionProtocol : std::uint8_t { none, http1, h2, count_ };

struct ListenerCells {
    static constexpr std::size_t protocols = static_cast<std::size_t>(ConnectionProtocol::count_);
    static constexpr std::size_t tls_versions = 4;  ///< none, TLSv1.2, TLSv1.3, other

    Cell accepted;
    std::array<Cell, refusals> refused;
    std::array<std::array<Level, 2>, protocols> open;  ///< by protocol, then [0] active [1] idle
    std::array<std::array<std::array<Cell, handshake_results>, 2>, tls_versions> handshakes;  ///< version, resumed
    HandshakeHistogram handshake_duration;                                                    ///< of those that were ok
    Cell tls_floods;  ///< connections that were ended because of TLS messages without data

    void refuse(Refusal reason) { refused[static_cast<std::size_t>(reason)].add(); }
    /// `version`: what `tls::Stream::tls_version` says, empty when it did not come so far.
    void count_handshake(std::string_view version, bool resumed, HandshakeResult result,
                         std::chrono::nanoseconds length);
};

/// One open connection in `edgeproxy_connections`: counted from construction to destruction, as active until told
/// otherwise. Lives in the connection, on its reactor.
class ConnectionMark {
 public:
    explicit ConnectionMark(ListenerCells& cells, ConnectionProtocol protocol = ConnectionProtocol::none)
        : cells_(cells), protocol_(protocol) {
        place().add(1);
    }
    ConnectionMark(const ConnectionMark&) = delete;
    ConnectionMark& operator=(const ConnectionMark&) = delete;
    ~ConnectionMark() { place().add(-1); }

    void protocol(ConnectionProtocol protocol) {
        place().add(-1);
        protocol_ = protocol;
        place().add(1);
    }
    /// Idle: no request under way.
    void idle(bool idle) {
        if (idle == idle_) return;
        place().add(-1);
        idle_ = idle;
        place().add(1);
    }

 private:
    Level& place() { return cells_.open[static_cast<std::size_t>(protocol_)][idle_ ? 1 : 0]; }
    ListenerCells& cells_;
    ConnectionProtocol protocol_;
    bool idle_ = false;
};

// ---- requests

/// Why a field of a request was left out although it belongs to no hop.
enum class FieldDrop : std::uint8_t {
    underscore,       ///< its name has bytes besides letters, digits and '-': servers take such names for others
    server_only,      ///< only a server may set it: SCRIPT_NAME, X-Accel-Redirect
    client_identity,  ///< it claims to know the client, and the peer is not trusted
    trailer,          ///< a trailer that would change how the message is read, or who may ask
    connection,       ///< an option of Connection that would take a field away from the application; the field stays
    count_
};
inline constexpr std::size_t field_drops = static_cast<std::size_t>(FieldDrop::count_);
std::string_view word(FieldDrop reason);
/// How many, by reason.
using FieldDrops = std::array<std::uint32_t, field_drops>;

/// What makes a series of `edgeproxy_http_requests_total` within a route.
struct RequestKey {
    std::uint16_t code = 0;  ///< 100..599, 0 = none
    http::Method method = http::Method::other;
    bool h2 = false;
    bool operator==(const RequestKey&) const = default;
};

struct RouteCells {
    static constexpr std::size_t most_combinations = 1024;  ///< of method, code and protocol
    static constexpr std::size_t most_reasons = 128;
    static constexpr std::size_t classes = 6;  ///< [1] 1xx ... [5] 5xx, [0] none

    KeyedCells<RequestKey, 16, most_combinations> requests;
    std::array<upstream::DurationHistogram, classes> duration;  ///< tunnels are left out, here and in `overhead`
    upstream::OverheadHistogram overhead;
    Cell begun, ended;  ///< the difference is in flight
    Cell bytes_in, bytes_out;
    KeyedCells<std::string_view, 8, most_reasons> errors;  ///< by static word
};

/// Why an HTTP/2 connection ended.
enum class Http2End : std::uint8_t {
    client,            ///< it went away, or said that it would
    idle,              ///< `timeouts.first_request`, `timeouts.keepalive`
    drain,             ///< we are going to stop
    age,               ///< `timeouts.connection_age`
    requests,          ///< `limits.requests_per_connection`
    protocol_error,    ///< what it sent is no HTTP/2
    glitches,          ///< `http2.glitches`
    continuation,      ///< a head in more frames than anybody needs
    outbound_queue,    ///< it asked for more than it read
    header_timeout,    ///< `timeouts.header`
    settings_timeout,  ///< `timeouts.settings_ack`
    ping_timeout,      ///< `timeouts.ping`
    response_rate,     ///< `limits.response_rate`, of all streams together
    stalled,           ///< nothing got through while all its streams waited, twice `timeouts.write` long
    write_timeout,     ///< the connection took nothing for `timeouts.write`
    count_
};
inline constexpr std::size_t http2_ends = static_cast<std::size_t>(Http2End::count_);
std::string_view word(Http2End end);

/// Why a stream of HTTP/2 was given up, or its request answered 408: its client was too slow.
enum class SlowStream : std::uint8_t { body_timeout, body_rate, write_timeout, response_rate, count_ };
inline constexpr std::size_t slow_streams = static_cast<std::size_t>(SlowStream::count_);
std::string_view word(SlowStream reason);

struct Http2Cells {
    std::array<Cell, http2_ends> ended;
    std::array<Cell, http::glitches> glitches;
    std::array<Cell, slow_streams> slow;
    Cell delayed;  ///< streams that began later because their client is wasteful

    void end(Http2End reason) { ended[static_cast<std::size_t>(reason)].add(); }
    void waste(http::Glitch glitch, std::uint32_t times) { glitches[static_cast<std::size_t>(glitch)].add(times); }
    void too_slow(SlowStream reason) { slow[static_cast<std::size_t>(reason)].add(); }
};

struct TunnelCells {
    Cell opened, closed;  ///< the difference is open
};

/// All cells of one reactor. `began`, `count` and everything reached through `listener`, `tunnels` are for that reactor
/// alone; it allocates when a route, listener, pool, or combination of method and code is first seen, never later.
/// About 17 KiB, and 2 KiB for each route seen.
class alignas(64) LaneCells {
 public:
    LaneCells() = default;
    LaneCells(const LaneCells&) = delete;
    LaneCells& operator=(const LaneCells&) = delete;

    /// A request was routed; say `figures.begun = true` then. `count` ends it.
    void began(std::size_t route) { routes_.at(route).begun.add(); }
    /// A request is over: one call counts all that 5.1 of the families of requests asks for.
    void count(const ExchangeFigures& figures);
    /// A message that could not be read. Its 400 is counted by `count` as well, if one was sent.
    void count_malformed(http::errc reason) { malformed_[static_cast<std::size_t>(reason)].add(); }
    void count_exceptions(std::uint64_t more) { exceptions_.add(more); }
    Http2Cells& http2() { return http2_; }
    void count_dropped(FieldDrop reason, std::uint64_t number) {
        dropped_[static_cast<std::size_t>(reason)].add(number);
    }
    void hit(Limit limit) { limit_hits_[static_cast<std::size_t>(limit)].add(); }

    ListenerCells& listener(std::size_t index) { return listeners_.at(index); }
    TunnelCells& tunnels(std::size_t pool) { return tunnels_.at(pool); }

    /// The loop's own timer ran at `now`, `late` after it should have. Call it at least each second (lanes do at every
    /// tick): `/livez` looks at it.
    void ticked(std::chrono::steady_clock::time_point now, std::chrono::nanoseconds late) {
        loop_delay_.observe(late);
        last_tick_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    }

    // ---- any thread
    std::chrono::steady_clock::time_point last_tick() const {
        return std::chrono::steady_clock::time_point{
            std::chrono::steady_clock::duration{last_tick_.load(std::memory_order_relaxed)}};
    }
    const RouteCells* find_route(std::size_t index) const { return routes_.find(index); }
    const ListenerCells* find_listener(std::size_t index) const { return listeners_.find(index); }
    const TunnelCells* find_tunnels(std::size_t pool) const { return tunnels_.find(pool); }
    std::uint64_t malformed(http::errc reason) const { return malformed_[static_cast<std::size_t>(reason)].value(); }
    std::uint64_t hits(Limit limit) const { return limit_hits_[static_cast<std::size_t>(limit)].value(); }
    std::uint64_t exceptions() const { return exceptions_.value(); }
    std::uint64_t dropped(FieldDrop reason) const { return dropped_[static_cast<std::size_t>(reason)].value(); }
    const upstream::OverheadHistogram& loop_delay() const { return loop_delay_; }
    const Http2Cells& http2() const { return http2_; }

 private:
    ByIndex<RouteCells, Names::capacity> routes_;
    ByIndex<ListenerCells, 64> listeners_;
    ByIndex<TunnelCells, Names::capacity> tunnels_;
    std::array<Cell, static_cast<std::size_t>(http::errc::count_)> malformed_;
    Cell exceptions_;
    Http2Cells http2_;
    std::array<Cell, field_drops> dropped_;
    std::array<Cell, limits> limit_hits_;
    upstream::OverheadHistogram loop_delay_;
    std::atomic<std::chrono::steady_clock::rep> last_tick_{0};
};

}  // namespace edgeproxy::admin
