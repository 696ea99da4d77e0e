// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace edgeproxy::master {

/// One worker process as `status` shows it.
struct WorkerView {
    std::string name;  ///< "app-1"
    /// starting, ready, unhealthy, ejected, suspect, drained, draining, stopping, backoff, down
    const char* state = "down";
    int pid = 0;  ///< 0 while no process lives
    std::int64_t started_at = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t requests = 0, in_flight = 0;  ///< as the proxy said last
    std::uint64_t restarts = 0;                 ///< of its place, for all reasons
    std::int64_t since = 0;                     ///< seconds since 1970: unhealthy, ejected or drained so long
    std::string why{};                          ///< why it is unhealthy, or its answers do not count
};

/// One endpoint that somebody else runs, as `status` shows it. A name with several addresses has one for each.
struct EndpointView {
    std::string name, address;
    std::string state{};     ///< ready, unhealthy, ejected, drained, starting, draining, down; empty = not known
    std::int64_t since = 0;  ///< seconds since 1970: in this state so long; 0 = not known
    std::uint64_t requests = 0, in_flight = 0;  ///< as the proxy said last
};

/// One pool as `status` shows it.
struct PoolView {
    std::string name;
    bool managed = true;
    const char* state = "ok";             ///< of the crew; "ok" is shown only while all of them serve; external: none
    std::string reason;                   ///< why it is not ok; may be empty
    std::vector<std::string> last_lines;  ///< of the worker that failed last, while the pool is not ok
    unsigned wanted = 0;                  ///< workers, or endpoints of an external pool
    unsigned min = 0, max = 0;            ///< of autoscaling; max 0 = the number is fixed
    bool pinned = false;                  ///< the number was set by hand, until the next reload
    std::vector<WorkerView> workers;
    std::vector<EndpointView> endpoints;  ///< external
};

/// Everything that `edgeproxy status` tells.
struct StatusView {
    std::string version, config_name;
    int pid = 0, proxy_pid = 0;  ///< 0: there is none now
    bool proxy_ready = false;
    const char* phase = "running";
    std::int64_t now = 0, started_at = 0, configured_at = 0;  ///< seconds since 1970
    std::uint64_t generation = 0;
    int leaving_proxy_pid = 0;           ///< of before an upgrade, that ends what it has; 0: none
    std::string last_upgrade;            ///< why the last upgrade failed; empty = it did not
    std::string last_reload;             ///< why the last reload failed; empty = it did not
    std::vector<std::string> listeners;  ///< "https :443"
    std::vector<PoolView> pools;
};

/// For people: a head, then a line for each pool and worker. Each line with its end.
std::string status_text(const StatusView& view);
/// The same as one JSON object (RFC 8259) and a line end.
std::string status_json(const StatusView& view);

}  // namespace edgeproxy::master
