// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/address.hpp"
#include "tls/io/fd.hpp"

/// What master and proxy tell each other: small versioned values, one per SOCK_SEQPACKET record, descriptors by
/// SCM_RIGHTS.
///
/// Both ends are the same program started from the same inode, but after an upgrade the master is a newer one than the
/// proxy that it takes over: `oldest_version`. The channel is private to one proxy process: its epoch is implied by
/// the channel, and a verdict that arrives on an old one is void.
///
/// THE SEQUENCE THAT THE PROXY FOLLOWS
///
/// Start. The proxy is exec'ed as `/proc/self/exe --role=proxy` (`proxy_role`) and finds its end of the pair at
/// descriptor 3 (`proxy_channel`). It first only receives. The master sends, in this order, all at once:
///   Hello, LogFiles, Listeners (one or more, the last has `last`), KeyMaterial (one per
///   certificate and per pair of `Config::endpoint_files`), ConfigMessage; to a later proxy also WorkerUp for every
///   living incarnation, and PoolStatus and WorkerUsage for every managed pool. (At the very first start the workers
///   come after ConfigResult.)
/// On ConfigMessage the proxy loads the canonical long form with `config::load_text` and `LoadOptions::internal`,
/// builds everything, answers ConfigResult {ok}; then it accepts on the listeners and answers Ready. `ok = false` ends
/// the program at the first start (exit 3). Ready says "I accept"; it does not wait for any worker.
///
/// Reload, in two phases. The master sends Listeners (all sockets of the new configuration, known ones again),
/// KeyMaterial and ConfigMessage with the next generation, in this order. A proxy that serves already prepares it
/// beside the one that serves and answers ConfigResult; nothing has changed yet. Then Commit: every reactor takes the
/// new one over, -> Committed; or Forget. For each socket that the new one does not have: accept until empty, close it,
/// -> ListenerDrained. A proxy that ends before Committed leaves the old configuration the committed one.
///
/// A worker's life, seen by the proxy:
///
/// - WorkerUp: a process was started. The endpoint exists now with capacity 0. With `held` its socket listens already:
///   connect and send one readiness probe at once; it waits in the backlog and is answered when the server serves.
///   ECONNREFUSED on a held socket means that the process is gone. Without `held` the server binds the address itself:
///   retry every 50 ms whatever the connect says. No timeout of the proxy's own: `start_timeout` is the master's clock.
///
/// - WorkerReady is the answer to it, on the first complete response that passes `health.expect`: requests may flow. A
///   response that does not pass: StartRejected, and go on probing (the master logs the reason).
///
/// - WorkerDrain: no new requests to it; it finishes its own. WorkerDrained is the answer when nothing is in flight, or
///   when `timeout` is over (tunnels are closed 1012 at a frame boundary, the rest is cut and counted in `left_over`).
///   The stop signal follows.
///
/// - WorkerGone: the process is dead, its group killed, its socket unlinked. Requests on it end now by the replay rule;
///   forget the endpoint. May come in every state, also without a WorkerDrain before.
///
/// - Suspect, Resumed, Hung: the proxy's findings on unread bytes. On Hung the master ends it with ABRT, then KILL.
///
/// - Unhealthy, Healthy: the verdict of active health, on change. Unhealthy for 30 s without Healthy: drained,
/// restarted
///   (reason `health`).
///
/// An incarnation number is never used twice. A message about an incarnation that the receiver does not know is
/// nothing.
///
/// PoolStatus is for `/readyz`, the held queue and the 503 page: while `crash_looping` with no ready endpoint, fail at
/// once. WorkerUsage is for metrics and status. LogFiles comes again at USR1: write to the new descriptors from then
/// on.
///
/// Certificates that changed on disk: KeyMaterial for each of them, then KeysChanged, all at once. The proxy swaps
/// those that can be served into its listeners, without touching a connection, and answers KeysResult; the master keeps
/// what was accepted for later proxies. Those of `tls.dir` may come and go in the same way.
///
/// Stop. DrainAll{delay, timeout}: `/readyz` says 503 from now on, everything else goes on. When `delay` is over the
/// master closes its copies of the listeners and sends ListenersClosed: accept until empty, close them, answer with
/// `Connection: close` / GOAWAY, finish what is in flight, close tunnels, fail the queue; `timeout` bounds it, counted
/// from ListenersClosed. -> Drained. The proxy then stays (metrics) until the channel is at its end of file, and exits
/// 0.
///
/// Upgrade. A second proxy is started beside the one that serves, with Listeners that are empty: it finds the workers
/// ready by its probes and accepts nobody. Then it gets Listeners, KeyMaterial and ConfigMessage of the same generation
/// again, and Commit, as at a reload: from Committed on it serves. The first one gets DrainAll{successor} and
/// ListenersClosed together: it leaves metrics and readiness to the other, tunnels stay until shortly before the end of
/// `timeout`. -> Drained; then its channel is closed. While both live each is told of all workers; the master decides
/// whose word counts.
///
/// End of file without DrainAll: the master died. Close the listeners, finish with `Connection: close` / GOAWAY for at
/// most 10 s, exit.
///
/// Always: Ping is answered by Pong with the same number at once, from the control thread. Stats and EndpointsSeen
/// each second, unless others still wait to be sent.
namespace edgeproxy::control {

constexpr std::uint32_t version = 1;
/// Of the proxies that this master can go on with after an upgrade. Rises with `version` whenever a message changes.
constexpr std::uint32_t oldest_version = 1;
constexpr std::size_t max_message = 64 * 1024;  ///< bytes of one encoded message
constexpr std::size_t max_fds = 253;            ///< descriptors of one message (SCM_MAX_FD of Linux)
constexpr std::size_t max_text = 8 * 1024;      ///< bytes of one string; longer ones are cut by encode
constexpr std::size_t max_lines = 20;   ///< of a worker's last words in PoolStatus; the first are dropped by encode
constexpr std::size_t max_line = 1024;  ///< bytes of one such line; cut by encode

using Incarnation = std::uint64_t;  ///< one process in a slot, 1 upwards over the master's life
using Milliseconds = std::chrono::milliseconds;

enum class PoolState : std::uint8_t { starting, ok, degraded, crash_looping, draining, stopped };
/// Why a worker was started again; the label of `edgeproxy_worker_restarts_total`, see `word`.
enum class RestartReason : std::uint8_t { crash, health, recycle, reload, request, start_failed };
constexpr std::size_t restart_reasons = 6;
/// `changed`: the code on the disk is another, so tunnels close at once and pages come back to the new one.
enum class DrainReason : std::uint8_t { shutdown, reload, recycle, scale, request, health, changed };
constexpr std::size_t drain_reasons = 7;

const char* word(PoolState state);
const char* word(RestartReason reason);
const char* word(DrainReason reason);

// ---- master to proxy
// ----------------------------------------------------------------------------------------------------

struct Hello {
    std::uint32_t version = control::version;
    std::uint64_t epoch = 0;  ///< counts the proxy processes of this run, from 1
    std::int32_t master_pid = 0;
    std::int64_t started_at = 0;  ///< of the master: seconds since 1970
};

/// Opened by the master, since the proxy may lack the right. An absent descriptor: standard output or error as
/// configured.
struct LogFiles {
    io::UniqueFd log, access;
};

/// One listening socket. `address` is one of the listener's addresses, or the metrics address for `metrics_listener`.
struct ListenerSocket {
    std::uint64_t id = 0;  ///< the socket's own over the master's life: a reload tells the same one again
    std::string name;      ///< `config::Listener::name`, or `metrics_listener`
    config::Address address;
    io::UniqueFd fd;  ///< listening, non-blocking, close-on-exec
};
constexpr const char* metrics_listener = "@metrics";

struct Listeners {
    std::vector<ListenerSocket> sockets;  ///< at most `max_fds`
    bool last = true;
};

/// Which certificate: `set` of `Config::tls_sets`, and `index` in its `certificates`; what is found in `tls.dir` comes
/// behind those, each with a number of its own for as long as the configuration lasts. Or `endpoint_keys`, and `index`
/// in `Config::endpoint_files`.
struct KeyId {
    std::uint32_t set = 0, index = 0;
    auto operator<=>(const KeyId&) const = default;
};
constexpr std::uint32_t endpoint_keys = ~std::uint32_t{0};

/// Chain and key as sealed memfds holding PEM; of roots for endpoints the key says nothing. The rest as far as the
/// configuration names it.
struct KeyMaterial {
    KeyId id;
    std::string name;  ///< the path of the chain
    io::UniqueFd cert, key;
    io::UniqueFd ocsp{}, client_ca{}, client_crl{}, password{};  ///< DER, PEM, PEM, text
};

/// The KeyMaterial that came since the last message of another kind are new contents of certificates that are being
/// served. Answered by KeysResult.
struct KeysChanged {
    std::uint64_t number = 0;      ///< counts from 1
    std::uint32_t unreadable = 0;  ///< further ones whose files cannot be read; for the metrics
    std::vector<KeyId> gone{};     ///< found in `tls.dir` before, and there no more; at most `max_refusals`
};

struct ConfigMessage {
    std::uint64_t generation = 0;
    io::UniqueFd text;  ///< sealed memfd: canonical long form, without commands and environments of workers
};

/// The prepared configuration is the one from now on.
struct Commit {
    std::uint64_t generation = 0;
};

/// The prepared configuration will not come.
struct Forget {
    std::uint64_t generation = 0;
};

constexpr std::size_t reload_results = 3;    ///< ok, refused, failed
constexpr std::size_t control_refusals = 5;  ///< see master::ControlRefusal
constexpr std::size_t upgrade_results = 3;   ///< ok, refused, failed

/// What autoscaling did, or could not do, and why.
enum class ScaleDecision : std::uint8_t {
    up_queue_time,  ///< requests waited too long: more workers
    down_idle,      ///< fewer would do: one less
    down_memory,    ///< too much memory is in use: one less
    held_max,       ///< requests wait, but there are `max` workers
    held_memory,    ///< requests wait, but there is no memory for one more
};
constexpr std::size_t scale_decisions = 5;
/// "up", "down", "held".
const char* direction(ScaleDecision decision);
/// "queue_time", "idle", "memory", "max".
const char* reason(ScaleDecision decision);

/// How many workers a managed pool should have.
struct PoolScale {
    std::string pool;
    std::uint32_t wanted = 0;
    std::uint32_t min = 0, max = 0;  ///< of autoscaling; max 0 = the number is fixed
    bool pinned = false;             ///< set by hand, until the next reload
    std::array<std::uint64_t, scale_decisions> decisions{};
};
constexpr std::size_t max_scales = 256;  ///< entries of one message; further pools are not told

/// What the master counts, for /metrics. At each start of a proxy and when it changes.
struct MasterStatus {
    std::array<std::uint64_t, reload_results> reloads{};
    bool last_ok = true;          ///< of the last reload; true when there was none
    std::int64_t last_ok_at = 0;  ///< seconds since 1970 when the configuration that serves became it
    std::array<std::uint64_t, control_refusals> refused{};
    std::vector<PoolScale> scales{};
    std::array<std::uint64_t, upgrade_results> upgrades{};
};

/// An endpoint gets no new requests (`resting`), or gets them again; its process is left alone. Sticks to the name
/// until it is told otherwise or the proxy ends.
struct EndpointRest {
    std::string pool;
    std::string endpoint;
    bool resting = false;
};

/// `<pool>-<slot + 1>`: the name of a worker in logs, metrics, commands and as an endpoint, on both sides.
std::string worker_name(const std::string& pool, std::uint32_t slot);

struct WorkerUp {
    std::string pool;
    std::uint32_t slot = 0;  ///< from 0; the endpoint's name is `worker_name`
    Incarnation incarnation = 0;
    std::uint64_t generation = 0;
    std::int32_t pid = 0;
    config::Address address;
    bool held = false;      ///< the socket listens already: park the probe
    bool replayed = false;  ///< known to an earlier proxy; not a start of a process
};

struct WorkerDrain {
    Incarnation incarnation = 0;
    Milliseconds timeout{};
    DrainReason reason = DrainReason::shutdown;
};

struct WorkerGone {
    Incarnation incarnation = 0;
    std::string how;  ///< "exit 3", "signal 9 (SIGKILL)"
};

struct PoolStatus {
    std::string pool;
    PoolState state = PoolState::starting;
    Milliseconds retry_after{};           ///< crash_looping: until the next attempt
    std::string reason;                   ///< one line for people; empty when ok
    std::vector<std::string> last_lines;  ///< stderr of the worker that failed last
};

struct WorkerUsage {
    std::string pool;
    std::uint32_t slot = 0;
    std::uint64_t rss_bytes = 0;                            ///< over the process group; 0 while no process lives
    std::uint64_t cpu_ms = 0;                               ///< of the living incarnation's group
    std::int64_t started_at = 0;                            ///< seconds since 1970 of the living incarnation, else 0
    std::array<std::uint64_t, restart_reasons> restarts{};  ///< by RestartReason, over the master's life
};

struct DrainAll {
    Milliseconds delay{}, timeout{};
    bool successor = false;  ///< another proxy has taken over
};

struct ListenersClosed {};

struct Ping {
    std::uint64_t number = 0;
};

// ---- proxy to master
// ----------------------------------------------------------------------------------------------------

struct ConfigResult {
    std::uint64_t generation = 0;
    bool ok = false;
    std::string error;
};

/// Every reactor serves the configuration of that generation.
struct Committed {
    std::uint64_t generation = 0;
};

/// A socket that a committed configuration does not have any more is closed on this side.
struct ListenerDrained {
    std::uint64_t id = 0;
};

struct Ready {
    std::uint64_t generation = 0;
};

/// A certificate whose new files cannot be served; it goes on with the old ones.
struct KeyRefusal {
    KeyId id;
    std::string why;  ///< names no contents
};
constexpr std::size_t max_refusals = 1024;  ///< entries of one message

struct KeysResult {
    std::uint64_t number = 0;
    std::vector<KeyRefusal> refused;    ///< all others are served from now on
    std::vector<std::string> warnings;  ///< about those that are served, `max_lines`
};

struct WorkerReady {
    Incarnation incarnation = 0;
    std::uint32_t status = 0;  ///< of the probe's answer
};

struct StartRejected {
    Incarnation incarnation = 0;
    std::string why;
};

struct WorkerDrained {
    Incarnation incarnation = 0;
    std::uint64_t left_over = 0;  ///< requests cut by the deadline; tunnels that were closed with 1012 do not count
};

struct Suspect {
    Incarnation incarnation = 0;
};
struct Resumed {
    Incarnation incarnation = 0;
};
struct Hung {
    Incarnation incarnation = 0;
};
struct Unhealthy {
    Incarnation incarnation = 0;
    std::string why;
};
struct Healthy {
    Incarnation incarnation = 0;
};

struct WorkerStats {
    Incarnation incarnation = 0;
    std::uint64_t requests = 0;   ///< since the incarnation started, counted by this proxy
    std::uint64_t in_flight = 0;  ///< requests and tunnels
};
constexpr std::size_t max_stats = 1024;  ///< entries of one message

/// How a pool that scales by itself keeps up; counted by this proxy from its start.
struct PoolLoad {
    std::string pool;
    std::uint64_t requests = 0;   ///< that got a place, at once or after waiting, or waited in vain
    std::uint64_t waited_us = 0;  ///< how long all of them waited, together
    std::uint64_t waiting = 0;    ///< that wait now
};
constexpr std::size_t max_loads = 256;  ///< entries of one message

struct Stats {
    std::vector<WorkerStats> workers;
    std::vector<PoolLoad> loads{};
};

/// An endpoint as the proxy sees it.
struct EndpointSeen {
    std::string pool, endpoint;  ///< as metrics name them; several addresses of one name share it
    std::string address;
    std::string state;            ///< ready, ejected, starting, unhealthy, draining, down
    std::uint64_t requests = 0;   ///< since it exists, counted by this proxy
    std::uint64_t in_flight = 0;  ///< requests and tunnels
};
constexpr std::size_t max_seen = 256;  ///< entries of one message, as far as they fit; further ones are not told

/// All endpoints of external pools, and of the workers those that are ejected. Instead of the last one.
struct EndpointsSeen {
    std::vector<EndpointSeen> endpoints;
};

struct Drained {
    std::uint64_t left_over = 0;  ///< requests cut by the deadline; tunnels that were closed with 1012 do not count
};

struct Pong {
    std::uint64_t number = 0;
};

using Message =
    std::variant<Hello, LogFiles, Listeners, KeyMaterial, ConfigMessage, WorkerUp, WorkerDrain, WorkerGone, PoolStatus,
                 WorkerUsage, DrainAll, ListenersClosed, Ping, KeysChanged, ConfigResult, KeysResult, Ready,
                 WorkerReady, StartRejected, WorkerDrained, Suspect, Resumed, Hung, Unhealthy, Healthy, Stats, Drained,
                 Pong, Commit, Forget, MasterStatus, EndpointRest, Committed, ListenerDrained, EndpointsSeen>;

// ---- bytes
// --------------------------------------------------------------------------------------------------------------

enum class errc {
    closed = 1,  ///< the other end closed the channel
    malformed,   ///< not a message: wrong length, kind, number of descriptors, text or enum out of range
    too_large,   ///< more entries, descriptors or bytes than one message may carry
    overflow,    ///< the queue to the other end is full: it does not read
};
const boost::system::error_category& category();
inline boost::system::error_code make_error_code(errc e) {
    return {static_cast<int>(e), category()};
}
template <class T>
using Result = boost::system::result<T>;

/// A message as it travels.
struct Encoded {
    std::string bytes;
    std::vector<io::UniqueFd> fds;
};

/// Takes the message's descriptors. errc::too_large when a list is beyond its bound; texts are cut, never refused.
Result<Encoded> encode(Message message);

/// Strict: every byte and every descriptor is used exactly, or errc::malformed (the descriptors are closed).
Result<Message> decode(std::span<const char> bytes, std::vector<io::UniqueFd> fds);

/// The kind of a message as a word for the log: "worker_up".
const char* name(const Message& message);

}  // namespace edgeproxy::control

template <>
struct boost::system::is_error_code_enum<edgeproxy::control::errc> : std::true_type {};
