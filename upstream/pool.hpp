// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "upstream/admission.hpp"
#include "upstream/waiting_line.hpp"

namespace edgeproxy::upstream {

/// What the reactors need of a pool's configuration.
struct PoolSettings {
    config::Balance balance = config::Balance::least_requests;
    config::Queue queue;
    config::Duration hold{};
    config::Keepalive keepalive;
    config::Outlier outlier;

    static PoolSettings from(const config::Pool& pool);
};

/// What reactors tell the control thread; each is called on a reactor and must only pass it on.
struct PoolReports {
    std::function<void(EndpointId)> emptied;  ///< a leaving endpoint has no request and no tunnel any more; once each
    std::function<void(EndpointId)> refused;  ///< a worker refused a connection and is suspect now
    std::function<void(EndpointId)> failing;  ///< as many failures in a row as `outlier.failures`
    std::function<void(EndpointId)> was_cut;  ///< `cut` has come to every request and tunnel
    /// The endpoint of each request that is unread, in a round of `look_for_unread`; not called when there is none.
    std::function<void(std::uint64_t round, std::vector<EndpointId>)> unread;
};

/// The endpoints that take part in balancing, as one thread sees them.
class EndpointList {
 public:
    struct Entry {
        Endpoint* endpoint;
        std::uint32_t weight;
    };

    EndpointList() = default;
    explicit EndpointList(std::span<const Entry> entries);

    /// Chooses and enters. Null: nobody has room.
    Endpoint* enter(Balancer& balancer, EndpointId avoid, io::TimePoint now) const {
        const std::size_t avoided = avoid == 0 ? no_view : index_of(avoid);
        // Others may be quicker at the gate; each time somebody was, so this ends, and early enough to queue instead of
        // racing on.
        for (std::size_t left = views_.size() + 4; left > 0; --left) {
            const std::size_t index = balancer.choose(views_, avoided, now);
            if (index == no_view) break;
            if (endpoints_[index]->gate().try_enter()) return endpoints_[index];
        }
        return nullptr;
    }
    std::span<Endpoint* const> endpoints() const { return endpoints_; }
    bool contains(const Endpoint& endpoint) const;

 private:
    std::size_t index_of(EndpointId id) const;

    std::vector<EndpointView> views_;
    std::vector<Endpoint*> endpoints_;
};

/// What one reactor has of a pool. Touched by that reactor only (counters: read by anybody).
struct alignas(64) PoolShare final : io::Posted {
    PoolShare(Pool& pool, std::size_t home, const PoolSettings& settings, std::uint64_t seed)
        : pool(pool), home(home), settings(settings), balancer(settings.balance, seed) {}

    Pool& pool;
    const std::size_t home;
    EndpointList list;
    PoolSettings settings;
    Balancer balancer;
    Occupants occupants;
    PoolCells cells;
    std::atomic<std::uint64_t> followed{0};  ///< the number of `list`

 private:
    /// The message "something is settled for you"; under way at most once at a time.
    void run() override;
};

/// A pool as the reactors see it: where a request gets its endpoint.
///
/// `admit` is lock-free and allocation-free while nobody waits: each reactor has its own copy of the list of endpoints,
/// renewed by a message of the control thread; only gates are shared. Requests that find no room stand in one line for
/// all reactors:
///   some endpoint is ready, all are full   at most `queue.timeout`, then queue_timeout
///   none is ready                          at most `hold`, then no_endpoint; at once pool_down when the pool is given
///   up together                               at most `queue.size` requests, else queue_full
/// Each clock starts when its condition does; both together bound the wait.
///
/// Destroyed when the reactors' threads have ended and before the reactors; frames that wait must be gone by then
/// (cancelled and run to their end).
class Pool {
 public:
    /// `reactors`: all of the process, in order of index. `reports` may be empty functions.
    Pool(std::string name, const PoolSettings& settings, std::span<io::Reactor* const> reactors, PoolReports reports);
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool();

    const std::string& name() const { return name_; }

    // ---- on a reactor

    /// Awaitable; gives Result<Admission>. Errors: queue_full, queue_timeout, no_endpoint, pool_down, cancelled.
    AdmitOperation admit(io::Reactor& reactor, const AdmitHints& hints = {}) { return {*this, reactor, hints}; }
    /// The counters of the calling reactor.
    PoolCells& cells(std::size_t reactor) { return share(reactor).cells; }

    // ---- any thread

    /// Requests that wait (queued or held).
    std::size_t waiting() const { return line_.length(); }
    /// Some endpoint is ready (it may be full).
    bool has_ready() const { return ready_.load(std::memory_order_seq_cst); }
    /// Given up: with nothing ready, waiting is no use.
    bool given_up() const { return given_up_.load(std::memory_order_seq_cst); }
    std::span<io::Reactor* const> reactors() const { return reactors_; }
    const PoolCells& cells(std::size_t reactor) const { return shares_[reactor]->cells; }

    // ---- on the control thread (Roster)

    /// Replaces the endpoints and settings. Every reactor follows by message: it closes the idle connections of
    /// endpoints that are not in its list any more and then says so by `followed`. Returns the number of this list.
    std::uint64_t publish(std::span<const EndpointList::Entry> entries, const PoolSettings& settings);
    /// The number that the next list will have.
    std::uint64_t next_list() const { return list_number_ + 1; }
    /// Every reactor uses a list at least as new as this.
    bool followed(std::uint64_t list) const;
    /// Something about readiness changed at `now`. Hands over places or fails the line as it follows.
    void readiness(bool some_ready, bool given_up, io::TimePoint now);
    /// Capacity appeared: hand it to whoever waits. `now` is for the slow start.
    void pump(io::TimePoint now);
    /// Fails everybody who waits with pool_down.
    void fail_waiting() { line_.fail_all(errc::pool_down); }
    /// Calls `cut()` of everybody who is busy with this endpoint, each on its reactor.
    void cut(EndpointId endpoint);
    /// Tunnels at this endpoint close with 1012, requests go on.
    void close_tunnels(EndpointId endpoint);
    /// Every reactor looks for requests that were sent `patience` ago or longer and of which the worker has read
    /// nothing, and tells those that it finds by `reports.unread`.
    void look_for_unread(std::uint64_t round, io::Duration patience);
    /// Requests at this endpoint that are unread and may be sent twice go elsewhere; if its process is `stopped` by a
    /// signal, those that it has read as well: none of them can be what makes it hang.
    void move_unread(EndpointId endpoint, bool stopped);

 private:
    friend class Admission;
    friend class AdmitWait;
    friend class AdmitOperation;
    friend class Tunnel;
    friend struct PoolShare;

    Endpoint* take(EndpointId avoid);  ///< under the line's mutex
    PoolShare& share(std::size_t home) { return *shares_[home]; }
    void collect(std::size_t home);
    void follow(std::size_t home, std::uint64_t number, EndpointList list, const PoolSettings& settings);
    /// Somebody gave a place back or made it a tunnel.
    void left(Gate::Reading after, EndpointId id, std::size_t home) {
        const bool emptied = after.leaving() && after.empty();
        if (emptied || line_.occupied()) note_left(emptied, id, home);
    }
    void note_left(bool emptied, EndpointId id, std::size_t home);

    const std::string name_;
    const std::vector<io::Reactor*> reactors_;
    PoolReports reports_;
    std::vector<std::unique_ptr<PoolShare>> shares_;
    /// Messages to reactors hold it weakly: one that is still under way when a stopped reactor is taken down finds
    /// nothing.
    std::shared_ptr<void> alive_ = std::make_shared<char>();

    // Under the line's mutex: what waiters are served from.
    EndpointList list_;
    Balancer balancer_;
    io::TimePoint slow_start_now_{};

    std::uint64_t list_number_ = 0;  ///< control thread
    std::atomic<bool> ready_{false}, given_up_{false};
    std::atomic<io::TimePoint::rep> ready_changed_{0};  ///< when `ready_` changed last
    WaitingLine line_;
};

}  // namespace edgeproxy::upstream
