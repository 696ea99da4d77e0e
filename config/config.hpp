// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/address.hpp"

/// The plan: everything that `stack.yaml` says, as plain values in the canonical long form (short forms are already
/// expanded).
///
/// Defaults here are only the language's; the field table (`config/field_table.hpp`) is the one source of defaults,
/// ranges, units and help, and the loader fills every field from it. A `Config` is built once, then shared as
/// `std::shared_ptr<const Config>`.
namespace edgeproxy::config {

using Duration = std::chrono::milliseconds;  ///< zero means `off` where the field table allows `off`
using ByteSize = std::uint64_t;              ///< bytes; zero means `off` where the field table allows `off`

// ---- server
// -------------------------------------------------------------------------------------------------------------

struct Shutdown {
    Duration delay{};         ///< keep accepting, but report not ready, this long first
    Duration grace_period{};  ///< all of the stop together, after `delay`; its last 5 s are kept for TERM and KILL
    bool operator==(const Shutdown&) const = default;
};

enum class Switch : std::uint8_t { off, on };

struct Server {
    unsigned threads = 0;  ///< reactors of the proxy; `auto` is resolved by the loader to the CPUs we may use
    std::string user;      ///< of the proxy and the workers; empty = stay
    std::string group;
    std::string runtime_dir;       ///< sockets of workers, control socket; resolved by the loader, absolute
    std::string state_dir;         ///< what is kept over restarts; resolved by the loader, absolute
    unsigned max_connections = 0;  ///< client connections of the proxy; beyond it idle ones go, then accept pauses
    Switch upgrade = Switch::off;  ///< another binary may take over
    Shutdown shutdown;
    bool operator==(const Server&) const = default;
};

/// Of the whole process.
struct ProcessLimits {
    ByteSize memory = 0;                  ///< resident bytes of the proxy; graded actions at 80, 90 and 95 %
    Duration loop_lag{};                  ///< a loop that is so late for a second sheds new requests; off = never
    unsigned connections_per_source = 0;  ///< of one IPv4 address or IPv6 /64; 0 = off. Trusted proxies are exempt
    unsigned requests_per_source = 0;     ///< requests a second, twice as many at once; 0 = off
    unsigned streams_per_source = 0;      ///< HTTP/2 streams open at once, over all its connections; 0 = off
    bool operator==(const ProcessLimits&) const = default;
};

struct ClientIp {
    std::vector<Cidr> trusted_proxies;  ///< whose X-Forwarded-* are believed
    bool operator==(const ClientIp&) const = default;
};

// ---- tls
// ----------------------------------------------------------------------------------------------------------------

enum class ClientAuthMode : std::uint8_t { none, request, require };

/// What is asked of clients in the handshake.
struct ClientAuth {
    ClientAuthMode mode = ClientAuthMode::none;
    std::string ca;      ///< path of the PEM file with the authorities that are believed, absolute
    std::string crl;     ///< path of the PEM file with their revocation lists; empty = not looked at
    unsigned depth = 0;  ///< intermediates between a client's certificate and an authority of `ca`
    bool operator==(const ClientAuth&) const = default;
};

struct Certificate {
    std::string cert;                       ///< path of the PEM chain, absolute
    std::string key;                        ///< path of the PEM key, absolute
    std::vector<std::string> hosts;         ///< names it serves; empty = its own SANs
    std::string ocsp;                       ///< path of the OCSP answer to staple, DER, absolute; empty = none
    std::optional<ClientAuth> client_auth;  ///< instead of the one of all
    std::string key_password_file{};        ///< path of the file whose first line opens the key, absolute; empty = none
    bool is_default = false;                ///< for names that nobody serves, instead of the first
    bool operator==(const Certificate&) const = default;
};

enum class TlsProfile : std::uint8_t { modern, intermediate };
enum class TlsVersion : std::uint8_t { tls12, tls13 };
enum class UnknownHost : std::uint8_t { use_default, reject };
enum class Protocol : std::uint8_t { http1, h2 };

struct Tls {
    std::vector<Certificate> certificates;  ///< the first is the default, unless another one says so
    std::string dir;   ///< path of a directory whose pairs are served as well, absolute; empty = none
    bool dev = false;  ///< self-signed development certificate instead of `certificates`
    TlsProfile profile = TlsProfile::intermediate;
    UnknownHost unknown_host = UnknownHost::use_default;
    Duration hsts{};      ///< off = no Strict-Transport-Security
    bool tickets = true;  ///< `session.tickets`; keys rotate every 12 h
    TlsVersion min_version = TlsVersion::tls12;
    std::vector<std::string> ciphers;  ///< OpenSSL's names, TLS 1.2 and 1.3 together; empty = by profile
    std::vector<std::string> groups;   ///< of the key exchange; empty = by profile
    std::vector<Protocol> alpn;        ///< `protocols` of listeners that say none; empty = theirs
    ClientAuth client_auth;            ///< of every certificate that has none of its own
    Duration reload{};                 ///< how often the files are looked at; zero = never

    /// There is something to serve.
    bool has_certificates() const { return dev || !certificates.empty() || !dir.empty(); }
    bool operator==(const Tls&) const = default;
};

// ---- listeners
// ----------------------------------------------------------------------------------------------------------

struct ListenerTimeouts {
    Duration handshake{};       ///< TLS, total
    Duration first_request{};   ///< accept or handshake to the first byte of a request
    Duration header{};          ///< first byte to the end of the request head
    Duration body{};            ///< a gap in a request body, until the answer begins
    Duration write{};           ///< no progress while the client should be reading
    Duration keepalive{};       ///< idle between requests
    Duration tunnel_idle{};     ///< no byte either way
    Duration connection_age{};  ///< then a connection is asked to end; up to a tenth longer
    Duration settings_ack{};    ///< HTTP/2: until SETTINGS are acknowledged
    Duration ping_interval{};   ///< HTTP/2: silence with open streams, then a PING
    Duration ping{};            ///< ... which must be answered
    Duration proxy_protocol{};  ///< the PROXY header, all of it
    bool operator==(const ListenerTimeouts&) const = default;
};

struct ListenerLimits {
    ByteSize request_line = 0;  ///< 414 beyond
    ByteSize header_size = 0;   ///< all fields, 431 beyond
    unsigned headers = 0;       ///< fields of a head, 431 beyond
    unsigned requests_per_connection = 0;
    ByteSize body_rate = 0;       ///< bytes a second that a request body must come with
    ByteSize response_rate = 0;   ///< bytes a second that a client must take
    unsigned handshakes = 0;      ///< of one source (/32, /64) at once, ...
    Duration handshake_window{};  ///< ... and this long until it has them all again; zero handshakes = no limit
    bool operator==(const ListenerLimits&) const = default;
};

/// `required`: trusted proxies must begin with a PROXY header, nobody else may.
enum class ProxyProtocol : std::uint8_t { off, required };

struct Listener {
    std::string name;
    std::vector<Address> addresses;
    bool tls = false;
    std::optional<Tls> own_tls;       ///< with `tls`: instead of the one of all, complete
    std::vector<Protocol> protocols;  ///< ALPN order with TLS; {http1} without
    bool redirect_https = false;      ///< answers 308 to https for everything
    std::uint16_t redirect_port = 443;
    unsigned backlog = 0;
    ProxyProtocol proxy_protocol = ProxyProtocol::off;
    unsigned http2_max_streams = 0;
    unsigned http2_glitches = 0;           ///< waste that a connection may make at once, ...
    unsigned http2_glitch_rate = 0;        ///< ... and that is forgiven a second
    ByteSize http2_window = 0;             ///< that a stream may send before we have read it, at first
    ByteSize http2_connection_window = 0;  ///< that all streams of a connection may
    ListenerTimeouts timeouts;
    ListenerLimits limits;
    bool operator==(const Listener&) const = default;
};

// ---- pools
// --------------------------------------------------------------------------------------------------------------

enum class Kind : std::uint8_t { uvicorn, gunicorn, hypercorn, daphne, generic };
enum class Bind : std::uint8_t { fd, unix_path, tcp };
enum class Balance : std::uint8_t { least_requests, round_robin };
enum class HostHeader : std::uint8_t { preserve, endpoint, fixed };

struct Health {
    std::string path;  ///< empty = no active probe besides readiness
    Duration interval{};
    Duration timeout{};
    unsigned unhealthy_after = 0;
    unsigned healthy_after = 0;
    unsigned expect_low = 0, expect_high = 0;  ///< statuses that pass; 0..0 = any complete answer
    std::string host;                          ///< Host of the probe; empty = the endpoint's
    bool operator==(const Health&) const = default;
};

/// Passive health (`outlier`): endpoints that fail real requests are ejected for a while, never more than half the
/// pool.
struct Outlier {
    bool enabled = true;
    unsigned failures = 0;
    Duration window{};
    Duration eject{};
    bool operator==(const Outlier&) const = default;
};

struct Queue {
    unsigned size = 0;
    Duration timeout{};
    bool operator==(const Queue&) const = default;
};

struct PoolTimeouts {
    Duration connect{};
    Duration response{};  ///< request sent to response head
    Duration idle{};      ///< a gap in the response body
    Duration write{};     ///< no progress while the endpoint should be reading
    bool operator==(const PoolTimeouts&) const = default;
};

struct Keepalive {
    unsigned max_idle = 0;    ///< idle connections kept per endpoint and reactor
    Duration idle_timeout{};  ///< 0 = never kept
    bool operator==(const Keepalive&) const = default;
};

/// How an endpoint is spoken to, as its address is written: `http://` or nothing, `https://`, `h2c://`.
enum class Scheme : std::uint8_t { http, https, h2c };
/// What `protocol` of a pool says: HTTP/1.1; HTTP/2 in plain text by prior knowledge (endpoints without a scheme);
/// HTTP/2 or nothing over TLS; what ALPN gives over TLS.
enum class PoolProtocol : std::uint8_t { http1, h2c, h2, automatic };

/// TLS towards endpoints (`pools.<name>.tls`).
struct PoolTls {
    std::string ca;           ///< path of PEM roots; empty = the system's
    std::string server_name;  ///< asked for and expected; empty = the endpoint's host
    std::string cert, key;    ///< paths of our certificate for endpoints that want one
    bool insecure = false;    ///< believe anybody
    bool operator==(const PoolTls&) const = default;
};

struct Endpoint {
    std::string name;  ///< label; the address as written when not given
    Address address;
    Scheme scheme = Scheme::http;
    unsigned weight = 1;
    unsigned max_in_flight = 0;
    std::optional<PoolTls> tls;  ///< instead of the pool's

    /// As logs, metrics and commands call it: `name`, or the address when there is none.
    std::string shown_name() const;
    bool operator==(const Endpoint&) const = default;
};

struct Restart {
    Duration backoff_min{}, backoff_max{};
    unsigned crash_loop_failures = 0;
    Duration crash_loop_window{};
    bool operator==(const Restart&) const = default;
};

/// When a worker has served long enough and is replaced (0 = off).
struct Recycle {
    unsigned requests = 0;
    unsigned jitter = 0;  ///< percent by which `requests` and `lifetime` are shortened at random
    Duration lifetime{};
    ByteSize memory = 0;
    bool operator==(const Recycle&) const = default;
};

/// How many workers a pool has by itself: more when requests wait, fewer when there is little to do.
struct Autoscale {
    unsigned min = 1;
    unsigned max = 0;       ///< 0 = the number is fixed
    Duration queue_time{};  ///< requests that wait longer than this, on average, want a further worker
    Duration up_after{};    ///< ... for so long
    Duration down_after{};  ///< so long too much, then one goes
    unsigned memory = 0;    ///< percent of what we may have: nobody is added beyond it
    bool operator==(const Autoscale&) const = default;
};

/// When a worker that does not read its requests is taken out, and when it is ended.
struct Hang {
    Duration suspect_after{};
    Duration kill_after{};  ///< unread, or unhealthy
    bool operator==(const Hang&) const = default;
};

/// What the kernel allows each worker (`resources`).
struct WorkerResources {
    ByteSize memory = 0;         ///< address space; off = ours
    unsigned open_files = 0;     ///< 0 = ours
    unsigned nice = 0;           ///< added to ours
    bool spread_cpus = false;    ///< `auto`: each slot its own CPU, as long as there are some
    std::vector<unsigned> cpus;  ///< in order; empty = all
    bool operator==(const WorkerResources&) const = default;
};

/// What the master needs to run a managed pool's workers. Never sent to the proxy.
struct Command {
    std::vector<std::string> argv;  ///< with placeholders {socket} {fd} {port} {host} {index} {pool}
    Kind kind = Kind::generic;      ///< `auto` is resolved by the loader
    bool sync_worker = false;       ///< gunicorn's sync worker class (also its default): one request at a time
    Bind bind = Bind::tcp;          ///< resolved by kind when not written
    std::map<std::string, std::string> environment;  ///< added; wins over ours
    std::string working_dir;                         ///< absolute
    std::string user, group;
    std::string stop_signal;  ///< "TERM", "INT", ...
    WorkerResources resources;
    std::vector<std::string>
        watch;  ///< patterns of files below `working_dir`; a change replaces the workers. Empty = off
    bool operator==(const Command&) const = default;
};

inline constexpr unsigned most_workers = 1024;  ///< of a pool

struct Pool {
    std::string name;

    bool managed = false;  ///< `command` was written; otherwise `endpoints`
    Command command;
    unsigned workers = 0;  ///< `auto` is resolved by the loader; with `autoscale`, the number to begin with
    Autoscale autoscale;
    std::vector<Endpoint> endpoints;
    PoolProtocol protocol = PoolProtocol::http1;
    PoolTls tls;

    bool required = true;
    Balance balance = Balance::least_requests;
    unsigned max_in_flight = 0;  ///< per endpoint
    Queue queue;
    Duration hold{};  ///< how long a request waits while no endpoint is ready
    Health health;
    Outlier outlier;
    Keepalive keepalive;
    PoolTimeouts timeouts;
    unsigned connect_retries =
        0;  ///< `retries.attempts`: further endpoints tried after a failed connect or a stale connection
    HostHeader host_header = HostHeader::preserve;
    std::string host_header_value;  ///< for `fixed`

    Duration start_timeout{};  ///< spawn to the first answered probe
    unsigned start_parallel = 0;
    Duration drain_timeout{};      ///< the proxy finishes what is in flight
    Duration stop_grace_period{};  ///< TERM to KILL
    Restart restart;
    Recycle recycle;
    Hang hang;
    unsigned surge = 1;  ///< extra workers while workers are replaced; 0 = in place
    bool operator==(const Pool&) const = default;
};

// ---- routes
// -------------------------------------------------------------------------------------------------------------

struct Redirect {
    std::string to;  ///< may use {scheme} {host} {uri} {path} {query}
    unsigned status = 308;
    bool operator==(const Redirect&) const = default;
};

struct Respond {
    unsigned status = 200;
    std::string body;
    std::string content_type;
    bool operator==(const Respond&) const = default;
};

struct Route {
    std::string name;
    std::vector<std::string> hosts;  ///< lower case; `*.example.com` = one or more labels; empty = any
    std::vector<std::string> paths;  ///< `/api` by segment, `=/x` exact; `*` one segment, `**` any; empty = any
    std::vector<std::string> methods;
    // Exactly one action:
    std::string pool;
    std::optional<Redirect> redirect;
    std::optional<Respond> respond;

    std::string strip_prefix, add_prefix;
    bool websocket = true;
    Duration websocket_idle{};                 ///< 0 = the listener's `tunnel_idle`
    unsigned max_tunnels = 0;                  ///< 0 = no limit
    std::vector<std::string> allowed_origins;  ///< `https://*.example.com` = one or more labels; empty = any
    ByteSize max_body = 0;
    bool access_log = true;
    bool operator==(const Route&) const = default;
};

// ---- the rest
// -----------------------------------------------------------------------------------------------------------

struct Headers {
    std::string request_id;  ///< field name; empty = off
    std::string server;      ///< empty = off (removed), "pass" = the endpoint's
    std::string via;         ///< pseudonym in Via of requests; empty = off
    bool pass_underscores = false;
    bool forwarded_x = true;         ///< X-Forwarded-*
    bool forwarded_rfc7239 = false;  ///< Forwarded
    bool operator==(const Headers&) const = default;
};

enum class PageFormat : std::uint8_t { automatic, html, json, text };
struct ErrorPages {
    PageFormat format = PageFormat::automatic;
    bool details = false;  ///< a worker's last stderr lines on 503
    bool operator==(const ErrorPages&) const = default;
};

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { automatic, console, json, combined };
struct AccessLog {
    bool enabled = true;
    std::string output;  ///< stdout, stderr or a path
    LogFormat format = LogFormat::automatic;
    std::vector<std::string> exclude;  ///< paths, by segment
    bool operator==(const AccessLog&) const = default;
};
struct Logging {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::automatic;  ///< console or json
    std::string output;
    AccessLog access;
    bool operator==(const Logging&) const = default;
};

struct Metrics {
    bool enabled = true;
    Address listen;
    std::string path;
    bool operator==(const Metrics&) const = default;
};

/// A PEM chain and its key. Roots have no key.
struct KeyFiles {
    std::string chain, key;
};

struct Config {
    Server server;
    ProcessLimits limits;
    ClientIp client_ip;
    Tls tls;
    std::vector<Listener> listeners;
    std::vector<Pool> pools;
    std::vector<Route> routes;  ///< first match wins
    Headers headers;
    ErrorPages error_pages;
    Logging logging;
    Metrics metrics;

    /// The pool of that name, or null.
    const Pool* find_pool(const std::string& name) const;
    /// What listeners serve: `tls` first, then each listener's own. The proxy's certificates are named by a position
    /// here and one in `Tls::certificates` (control::KeyId).
    std::vector<const Tls*> tls_sets() const;
    /// The position in `tls_sets` of what this listener of ours serves.
    std::size_t tls_set_of(const Listener& listener) const;
    /// TLS towards an endpoint: its own, or the pool's.
    static const PoolTls& tls_of(const Pool& pool, const Endpoint& endpoint);
    /// Every pair of PEM files for TLS towards endpoints: of each pool, then of its endpoints that have their own. The
    /// order of control::KeyId::index in `control::endpoint_keys`.
    std::vector<KeyFiles> endpoint_files() const;
    bool operator==(const Config&) const = default;
};

}  // namespace edgeproxy::config
