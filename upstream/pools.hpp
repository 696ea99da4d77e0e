// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "upstream/dns.hpp"
#include "upstream/roster.hpp"

namespace edgeproxy::upstream {

/// Every pool of the proxy. Pools are never destroyed while the program runs: one that leaves the configuration is
/// closed, and reopened when it comes back, so references, counters and in-flight counts survive reloads.
///
/// Owned by the program; destroyed after the reactors' threads have ended and before the reactors.
class Pools {
 public:
    struct Outside {
        /// Runs a function on the control thread, from any thread (asio::post). The functions may come after Pools is
        /// gone: they do nothing then.
        std::function<void(std::function<void()>)> post;
        /// See Roster::Events; for messages to the master.
        Roster::Events events;
    };
    struct Entry {
        Entry(std::string name, const PoolSettings& settings, std::span<io::Reactor* const> reactors,
              PoolReports reports)
            : pool(std::move(name), settings, reactors, std::move(reports)) {}
        Pool pool;
        std::unique_ptr<Roster> roster;
    };

    /// `reactors` in order of index; all references outlive this. No thread but the caller's uses the pools before it
    /// returns.
    Pools(std::span<io::Reactor* const> reactors, const io::Clock& clock, config::Log& log, Outside outside);
    ~Pools();
    Pools(const Pools&) = delete;
    Pools& operator=(const Pools&) = delete;

    // ---- any thread

    /// The pool of that name, or null. Valid as long as this.
    Pool* find(std::string_view name) const;
    /// All pools, for API and metrics; pointers are valid as long as this. Use only the any-thread calls of Pool and
    /// Roster.
    std::vector<const Entry*> all() const;

    // ---- control thread

    /// Adopts the pools of a configuration: the first, or a reload's. Others stay as they are.
    /// `tls`: of pools with https endpoints, by name.
    using Tls = std::map<std::string, TlsOfPool, std::less<>>;
    void configure(const std::vector<config::Pool>& pools, const Tls& tls = {});
    /// Closes those that are not among `pools`, once nobody routes to them any more.
    void close_others(const std::vector<config::Pool>& pools);
    /// Fails every line and lets external endpoints leave.
    void close();
    Roster* roster(std::string_view name) const;

    void worker_up(const control::WorkerUp& up);
    void worker_drain(const control::WorkerDrain& drain);
    void worker_gone(const control::WorkerGone& gone);
    void pool_status(const control::PoolStatus& status);
    /// The readiness probe of a worker was answered. Messages about unknown incarnations are nothing.
    void worker_ready(control::Incarnation incarnation);
    /// A worker that was suspect has read something.
    void worker_reads(control::Incarnation incarnation);

    /// Call it every 250 ms or so.
    void tick();
    /// Names of the configuration that want resolving now: `resolve` them where blocking is allowed, then `resolved`
    /// each.
    std::vector<std::string> names_due();
    void resolved(const std::string& host, const Resolved& result);

    /// Of every living worker, for the master.
    control::Stats stats() const;
    /// How external endpoints are, and which workers are ejected, for the master.
    control::EndpointsSeen seen() const;
    /// Requests and tunnels at all endpoints: 0 = drained.
    std::uint64_t busy() const;

 private:
    Entry& open(const config::Pool& config, const TlsOfPool& tls);
    PoolReports reports_to(const std::string& name);
    Roster* roster_of(control::Incarnation incarnation) const;

    const std::vector<io::Reactor*> reactors_;
    const io::Clock& clock_;
    config::Log& log_;
    const Outside outside_;
    EndpointId last_id_ = 0;
    NameSchedule names_;
    std::map<control::Incarnation, Roster*> incarnations_;
    mutable std::mutex changing_;  ///< held to change entries_, and by other threads to look
    std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;
    std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace edgeproxy::upstream
