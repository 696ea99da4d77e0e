// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/log.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/incarnation.hpp"
#include "upstream/master/slot.hpp"
#include "upstream/master/workplace.hpp"

namespace edgeproxy::master {

/// The workers of one managed pool: as many as wanted, kept alive.
///
/// Decides with Worker and Slot, and does: starts processes, sends signals, tells the proxy, keeps the last lines. One
/// timer serves all deadlines of the pool. Runs on the loop's thread; destroy only when `is_empty`.
class Crew {
 public:
    /// `pool` must outlive the crew. `identity`: as whom its workers run; empty = as we do.
    Crew(const Workplace& workplace, const config::Pool& pool, std::optional<Identity> identity);

    /// Starts the workers, `start_parallel` at a time. `proxy_ready`: whether their clocks run.
    void start(bool proxy_ready);
    /// A proxy became ready, or none is any more.
    void proxy_changed(bool ready);
    /// Tells a new proxy everything about this pool.
    void introduce();

    /// The proxy's word on an incarnation. True if it is one of ours.
    bool hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why);
    /// It answered the probe, but not as it should.
    bool hear_rejected(control::Incarnation incarnation, const std::string& why);
    bool hear_stats(const control::WorkerStats& stats);

    /// True if `pid` leads one of ours. Call while it is not reaped yet: kills what is left of its process group.
    bool kill_group_of(pid_t pid);
    /// It is reaped. True if it was ours.
    bool on_exit(pid_t pid, int status);

    /// Nothing is in flight any more: stop signal to all, none is started again.
    void stop();
    /// KILL to all.
    void kill();
    bool is_empty() const;

    control::PoolState state() const;
    bool was_ever_ready() const { return ever_ready_; }
    /// Why the pool will not come up: set when one slot failed `first_tries` times before any worker was ever ready.
    const std::string& start_failure() const { return start_failure_; }
    /// What the worker that failed last wrote last.
    const std::vector<std::string>& last_lines() const { return last_lines_; }
    const config::Pool& pool() const { return pool_; }
    /// Measures the workers and tells the proxy. Each `usage_interval`.
    void report_usage();

    static constexpr unsigned first_tries = 3;
    static constexpr milliseconds usage_interval{10000};

 private:
    struct Seat {
        explicit Seat(RestartPolicy policy) : slot(policy) {}
        Slot slot;
        std::unique_ptr<IncarnationProcess> worker;
        std::optional<TimePoint> next_start;
        std::array<std::uint64_t, control::restart_reasons> restarts{};
        std::optional<control::RestartReason> pending_reason;
    };

    void start_due();
    void start_in(std::uint32_t slot);
    void failed_start(std::uint32_t slot, const std::string& why);
    void tell_drain(const IncarnationProcess& worker);
    void apply(Seat& seat, WorkerAction action);
    void bury(std::uint32_t slot, int status);
    void plan_next(std::uint32_t slot, const Ending& ending, const std::string& how);
    void log_end(const IncarnationProcess& worker, const Ending& ending, int status);
    void on_timer();
    void arm();
    void publish();
    void report_usage_of(std::uint32_t slot);
    Seat* seat_of(control::Incarnation incarnation);
    control::PoolStatus status() const;
    std::size_t count(WorkerState state) const;

    const Workplace& workplace_;
    const config::Pool& pool_;
    std::optional<Identity> identity_;
    WorkerPolicy policy_;
    std::vector<Seat> seats_;
    boost::asio::steady_timer timer_;
    bool proxy_ready_ = false, stopping_ = false, ever_ready_ = false;
    bool news_ = false;  // the reason or the last lines changed
    std::string start_failure_, last_reason_;
    std::vector<std::string> last_lines_;
    std::optional<control::PoolState> published_;
};

}  // namespace edgeproxy::master
