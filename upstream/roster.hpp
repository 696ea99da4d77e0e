// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/log.hpp"
#include "upstream/hang.hpp"
#include "upstream/health.hpp"
#include "upstream/pool.hpp"

namespace edgeproxy::upstream {

/// One endpoint as API, status page and metrics show it.
struct EndpointStatus {
    EndpointIdentity identity;
    EndpointState state = EndpointState::starting;
    bool ejected = false;
    std::uint32_t in_flight = 0, limit = 0, tunnels = 0, idle_connections = 0, weight = 1;
    std::uint64_t requests = 0;  ///< admitted since this endpoint exists
};

/// The counters of one endpoint name, one entry per reactor and one more for the control thread. Never freed while the
/// pool lives.
struct EndpointSeries {
    std::string name;
    std::span<const EndpointCells> cells;
};

/// TLS towards the endpoints of a pool, one for each that is configured; null for a plain one. Empty: none has it.
using TlsOfPool = std::vector<std::shared_ptr<const tls::ClientContext>>;

/// The control thread's half of a pool: which endpoints there are, who they are, how they are. Decides, writes gates,
/// publishes lists.
///
/// External endpoints come from the configuration (names through `resolved`), workers by the master's messages. An
/// endpoint that leaves is drained: no new requests, idle connections closed; it is freed when it is empty and no
/// reactor knows it any more. Counters belong to the name and survive incarnations. Every call on the control thread,
/// but `status` and `series`: any.
class Roster {
 public:
    /// A worker that refused a connection stays suspect for so long, unless the master says more in the meantime.
    static constexpr io::Duration refusal_memory = std::chrono::seconds(1);

    struct Events {
        /// A draining worker is empty (`left_over` 0), or its drain deadline passed and the rest was cut. Once per
        /// drain.
        std::function<void(control::Incarnation, std::uint64_t left_over)> drained;
        /// Health changed by active probes: true = healthy again. Workers only.
        std::function<void(control::Incarnation, bool healthy)> health_changed;
        /// A worker has not read what it was sent for `hang.suspect_after`: it gets nothing new. Somebody has to find
        /// out when it reads again (`worker_reads`).
        std::function<void(const EndpointIdentity&)> suspect;
        std::function<void(control::Incarnation)> resumed;
        /// ... for `hang.kill_after`. Said again each `hang.kill_after`.
        std::function<void(control::Incarnation)> hung;
    };

    /// `next_id` is shared by all pools, since ids are.
    Roster(Pool& pool, const config::Pool& config, const TlsOfPool& tls, const io::Clock& clock, config::Log& log,
           EndpointId& next_id, Events events);
    ~Roster();
    Roster(const Roster&) = delete;
    Roster& operator=(const Roster&) = delete;

    /// Adopts a configuration (also the first): settings, limits, external endpoints. Workers stay; they are the
    /// master's.
    /// `tls`: for its https endpoints; must be there if it has any. Endpoints whose transport changed are replaced.
    void configure(const config::Pool& config, const TlsOfPool& tls);
    /// The addresses (literals) that a name of the configuration stands for now; an empty list is ignored, the last
    /// good one is kept.
    void resolved(const std::string& host, const std::vector<config::Address>& addresses);

    // ---- from the master
    void worker_up(const control::WorkerUp& up);
    void worker_drain(control::Incarnation incarnation, io::Duration timeout, control::DrainReason reason);
    void worker_gone(control::Incarnation incarnation);
    void pool_status(control::PoolState state);
    /// The endpoints of that name get no new requests, or get them again. Sticks to the name.
    void rest(const std::string& name, bool resting);

    // ---- from probes
    void worker_ready(control::Incarnation incarnation);
    /// The worker hangs (unread bytes) or reads again: it gets no requests meanwhile.
    void worker_hung(control::Incarnation incarnation, bool hung);
    /// A worker with nothing to do has not read a probe for `hang.suspect_after`.
    void untouched(control::Incarnation incarnation);
    /// A suspect worker has read something.
    void worker_reads(control::Incarnation incarnation);
    /// An active health probe of this endpoint ended.
    void probed(EndpointId id, bool passed);

    // ---- from reactors, passed on
    void emptied(EndpointId id);
    void refused(EndpointId id);
    void was_cut(EndpointId id);
    void failing(EndpointId id);
    /// What a reactor found in this round: the endpoint of each request that is unread.
    void unread(std::uint64_t round, const std::vector<EndpointId>& found);

    /// What time brings: ejections end, refusals are forgotten, drains are cut, endpoints are freed. Call it every 250
    /// ms or so.
    void tick();
    /// External endpoints leave and whoever waits is failed: the pool was removed from the configuration or the program
    /// stops. Workers are the master's to stop; what they have is finished. `configure` opens it again.
    void close();

    const config::Pool& config() const { return config_; }
    control::PoolState state() const { return state_; }
    /// Requests and tunnels at every endpoint.
    std::uint64_t busy() const;
    std::vector<EndpointStatus> status() const;
    std::vector<EndpointSeries> series() const;

 private:
    struct Member;

    Member* find(EndpointId id);
    Member* find_worker(control::Incarnation incarnation);
    Member& add(EndpointIdentity identity, std::uint32_t limit, std::uint32_t weight);
    std::span<EndpointCells> cells_of(const std::string& name);
    void reconcile();
    void become_ready(Member& member, bool cold);
    void leave(Member& member, EndpointState state);
    void report_drained(Member& member);
    void look_for_hangs();
    void judge(const EndpointStatus& status, HangWatch::Verdict verdict);
    Endpoint* endpoint_of(control::Incarnation incarnation);
    void apply(Member& member);
    void publish();
    void weigh();
    void free_departed();
    PoolCensus census() const;
    void log(config::LogLevel level, const char* event, const std::string& text, const Member& member);

    Pool& pool_;
    config::Pool config_;
    TlsOfPool tls_;
    const io::Clock& clock_;
    config::Log& log_;
    EndpointId& next_id_;
    const Events events_;
    control::PoolState state_;
    bool closed_ = false;
    std::set<std::string> resting_;   ///< names that get no new requests, by somebody's wish
    std::set<std::string> seasoned_;  ///< slots that had a ready worker before: the next one is a replacement
    std::map<std::string, std::vector<config::Address>> names_;  ///< host -> last good addresses
    std::map<control::Incarnation, HangWatch> watches_;
    UnreadCensus census_;
    mutable std::mutex shown_;  ///< held to change what `status` and `series` read: members_, cells_
    std::map<std::string, std::vector<EndpointCells>> cells_;  ///< outlive the members
    std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace edgeproxy::upstream
