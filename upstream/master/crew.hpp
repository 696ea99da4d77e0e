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
#include "upstream/master/rolling.hpp"
#include "upstream/master/scaling.hpp"
#include "upstream/master/slot.hpp"
#include "upstream/master/workplace.hpp"

namespace edgeproxy::master {

/// The workers of one managed pool: as many as wanted, kept alive, replaced without a gap.
///
/// Decides with Worker, Slot and Rolling, and does: starts processes, sends signals, tells the proxy, keeps the last
/// lines. One timer serves all deadlines of the pool. Runs on the loop's thread; destroy only when `is_empty`.
///
/// crew.cpp starts and ends workers; crew_roll.cpp replaces them; crew_scale.cpp changes their number; crew_renew.cpp
/// follows changed files; crew_report.cpp tells; crew_memory.cpp hands them over to another program.
class Crew {
 public:
    Crew(const Workplace& workplace, CrewPlan plan);

    /// Starts the workers, `start_parallel` at a time. `proxy_ready`: whether their clocks run.
    void start(bool proxy_ready);
    /// A proxy became ready, or none is any more.
    void proxy_changed(bool ready);
    /// Tells a new proxy everything about this pool.
    void introduce(const std::function<void(control::Message)>& tell);
    /// A new proxy is the one that serves: see Worker::introduce.
    void await_answers(bool waits);

    // ---- orders

    /// Replaces every worker, `surge` (at least one) at a time: the successor starts beside the worker and answers the
    /// readiness probe before the worker drains; with `surge: 0` the worker drains first. A slot without a worker (it
    /// waits for its next try) starts at once.
    ///
    /// The first successor that does not come up ends the roll: what is not yet replaced stays, and serves. `told`
    /// hears how it ended, once. Asked again meanwhile: all are replaced once more, and both hear the end of the whole.
    void roll(control::RestartReason reason, RollTold told = {});
    /// The same for one worker. False when there is no such slot.
    bool roll_one(std::uint32_t slot, control::RestartReason reason, RollTold told = {});
    /// What workers are started from has changed on the disk. All of them at once: no more requests for the old ones,
    /// and the new ones start beside them while requests wait. Pools with `watch` only: one that does not come up is
    /// told to requests at once, instead of letting them wait for it.
    void renew();
    /// From now on so many workers (1 to `config::most_workers`): further ones start, the last ones drain and go.
    void scale(unsigned workers);
    unsigned wanted() const { return wanted_; }
    /// The same by hand: stays until the next `configure`, autoscaling rests so long.
    void pin(unsigned workers);
    bool pinned() const { return pinned_; }
    control::PoolScale scale_told() const;
    /// `told` hears once when every worker of this pool, which is new, has become ready; or how the first start that
    /// failed went. It is tried again all the same.
    void await_start(RollTold told);
    /// Adopts changed settings. Everything but what workers are started with is in force at once, the number of workers
    /// too: that of the settings, or what autoscaling found, within its new bounds. True if what workers are started
    /// with (command, environment, user, bind, ...) has changed: then `roll` puts it in force. Until a successor came
    /// up with it, a worker that dies is started again with what worked.
    bool configure(CrewPlan plan);
    /// The pool leaves the configuration: its workers drain and go. When they have, `is_empty`.
    void retire();
    bool retired() const { return retired_; }

    // ---- words of the proxy

    /// The proxy's word on an incarnation. True if it is one of ours.
    bool hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why);
    /// It answered the probe, but not as it should.
    bool hear_rejected(control::Incarnation incarnation, const std::string& why);
    bool hear_stats(const control::WorkerStats& stats);
    /// Once a second, after `hear_stats` of its workers: autoscaling decides.
    void hear_load(const control::PoolLoad& load);

    // ---- children

    /// True if `pid` leads one of ours. Call while it is not reaped yet: kills what is left of its process group.
    bool kill_group_of(pid_t pid);
    /// It is reaped. True if it was ours.
    bool on_exit(pid_t pid, int status);

    /// Nothing is in flight any more: stop signal to all, none is started again.
    void stop();
    /// KILL to all.
    void kill();
    bool is_empty() const;

    // ---- looking

    control::PoolState state() const;
    /// How it is, for people and for the proxy.
    control::PoolStatus status() const;
    bool was_ever_ready() const { return ever_ready_; }
    /// Workers are being replaced, or are about to.
    bool is_rolling() const { return !rolling_.idle(); }
    /// Why the pool will not come up: set when one slot failed `first_tries` times before any worker was ever ready.
    const std::string& start_failure() const { return start_failure_; }
    /// What the worker that failed last wrote last.
    const std::vector<std::string>& last_lines() const { return last_lines_; }
    const config::Pool& pool() const { return *plan_.pool; }
    /// Every living process, for the status: slot, process and machine. Successors and leaving ones too.
    std::vector<const IncarnationProcess*> processes() const;
    /// Workers that serve requests now.
    std::vector<control::Incarnation> serving() const;

    // ---- another program in our process

    /// One place and the process in it.
    struct SeatMemory {
        Slot::Memory slot;
        std::optional<TimePoint> next_start;
        std::array<std::uint64_t, control::restart_reasons> restarts{};
        std::optional<control::RestartReason> pending_reason;
        std::optional<IncarnationProcess::Memory> worker;
        bool operator==(const SeatMemory&) const = default;
    };
    /// What the next program needs to go on with this pool.
    struct Memory {
        std::string pool;
        unsigned wanted = 0;
        std::vector<SeatMemory> seats;
        bool ever_ready = false, broken = false, pinned = false;
        std::array<std::uint64_t, control::scale_decisions> decisions{};
        std::string start_failure, last_reason;
        std::vector<std::string> last_lines;
        bool operator==(const Memory&) const = default;
    };
    /// What is half done and could not be carried over; empty = nothing. What will not pass by itself is `lasting`.
    std::string half_done(bool& lasting) const;
    /// While nothing is half done.
    Memory memory() const;
    /// Instead of `start`: goes on with what an earlier program had started. A proxy is ready.
    void resume(const Memory& memory);

    /// Measures the workers and tells the proxy. Each `usage_interval`.
    void report_usage();

    static constexpr unsigned first_tries = 3;
    static constexpr milliseconds usage_interval{10000};
    /// After a successor that should have replaced a worker for its age (requests, memory) did not come up.
    static constexpr milliseconds recycle_pause{30000};

 private:
    struct Seat {
        explicit Seat(RestartPolicy policy) : slot(policy) {}
        Slot slot;
        std::unique_ptr<IncarnationProcess> worker;     ///< serves, or starts to
        std::unique_ptr<IncarnationProcess> successor;  ///< starts beside the worker, to take its place
        std::unique_ptr<IncarnationProcess> leaving;    ///< was replaced: drains and stops
        std::optional<TimePoint> next_start;
        std::array<std::uint64_t, control::restart_reasons> restarts{};
        std::optional<control::RestartReason> pending_reason;
    };
    struct Asked {
        RollTold told;
        std::optional<std::uint32_t> slot;  ///< for this one only
    };
    using Place = std::unique_ptr<IncarnationProcess> Seat::*;

    // crew.cpp
    void start_due();
    void start_in(std::uint32_t slot);
    std::unique_ptr<IncarnationProcess> launch(std::uint32_t slot, const CrewPlan& plan, std::string& error);
    void failed_start(std::uint32_t slot, const std::string& why);
    const CrewPlan& start_plan(std::uint32_t slot) const;
    void became_ready(Seat& seat, IncarnationProcess& worker);
    void tell_drain(const IncarnationProcess& worker);
    void apply(IncarnationProcess& worker, WorkerAction action);
    void drain(IncarnationProcess& worker, control::DrainReason reason);
    void bury(std::uint32_t slot, Place place, int status);
    void plan_next(std::uint32_t slot, const Ending& ending, const std::string& how);
    void on_timer();
    void arm();
    template <class Work>
    void each(Work work);
    std::pair<std::uint32_t, Place> find_incarnation(control::Incarnation incarnation);
    std::pair<std::uint32_t, Place> find_process(pid_t pid);
    std::size_t count(WorkerState state) const;

    // crew_roll.cpp
    void roll_on();
    void begin_replacement(std::uint32_t slot);
    void promote(Seat& seat);
    void worker_died(std::uint32_t slot, const IncarnationProcess& worker, const Ending& ending,
                     const std::string& how);
    void roll_failed(std::uint32_t slot, const std::string& why, std::vector<std::string> lines);
    void replaced(std::uint32_t slot);
    void tell_verdict(const RollVerdict& verdict);
    void look_at_age(std::uint32_t slot);

    // crew_scale.cpp
    void want_outdated_from(unsigned first);
    void retire_from(unsigned first);
    void shrink();
    unsigned wanted_by(const config::Pool& pool) const;
    bool is_settled() const;
    Scaling::Sample sample(const control::PoolLoad& load) const;
    void tell_start(const RollVerdict& verdict);

    // crew_renew.cpp
    void dismiss(Seat& seat);
    void replace_dismissed();
    void renew_on();

    // crew_report.cpp
    void log_end(const IncarnationProcess& worker, const Ending& ending, int status);
    void log_word(const IncarnationProcess& worker, WorkerEvent event, WorkerState before, const std::string& why);
    void log_silent(const IncarnationProcess& worker);
    void publish();
    void report_usage_of(std::uint32_t slot);

    const Workplace& workplace_;
    CrewPlan plan_;    // what is wanted
    CrewPlan proven_;  // the last that a worker came up with; without a pool until then
    WorkerPolicy policy_;
    unsigned wanted_ = 0;  // workers; there may be more seats, which are given up
    std::vector<Seat> seats_;
    Rolling rolling_;
    std::vector<Asked> asked_;       // who waits for the end of the roll
    std::vector<RollTold> awaited_;  // who waits for the first workers
    Scaling scaling_;
    std::array<std::uint64_t, control::scale_decisions> decisions_{};
    bool pinned_ = false;
    TimePoint recycle_again_{};
    boost::asio::steady_timer timer_;
    bool proxy_ready_ = false, started_ = false, stopping_ = false, retired_ = false, ever_ready_ = false;
    bool broken_ = false;       // watched, and what is on the disk did not come up
    bool renew_waits_ = false;  // for a place of those who leave; nothing starts meanwhile
    bool news_ = false;         // the reason or the last lines changed
    std::string start_failure_, last_reason_;
    std::vector<std::string> last_lines_;
    std::optional<control::PoolState> published_;
    // Gone with us: a timer that was due when we were destroyed is still told.
    const std::shared_ptr<void> alive_ = std::make_shared<char>();
};

/// "", " as asked", " since it hung": behind "app-1 ended".
const char* because(WorkerEnd end);
/// What else is to be said of a start that took too long: it listens on another address than it was given.
std::string listens_elsewhere(const IncarnationProcess& worker);
/// It was not our wish.
bool is_failure(WorkerEnd end);

}  // namespace edgeproxy::master
