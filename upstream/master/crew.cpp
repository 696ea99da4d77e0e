// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/crew.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "upstream/master/time.hpp"
#include "upstream/master/usage.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {
namespace {

constexpr milliseconds socket_poll{50};  // how soon a path that a worker binds itself is opened to the proxy
constexpr std::size_t told_lines = control::max_lines;

WorkerPolicy worker_policy(const config::Pool& pool) {
    WorkerPolicy policy;
    policy.health_kill_after = pool.hang.kill_after;
    policy.start_timeout = pool.start_timeout;
    policy.drain_timeout = pool.drain_timeout;
    policy.stop_grace_period = pool.stop_grace_period;
    return policy;
}

int stop_signal(const config::Pool& pool) {
    const int number = signal_number(pool.command.stop_signal);
    return number != 0 ? number : SIGTERM;
}

}  // namespace

Crew::Crew(const Workplace& workplace, CrewPlan plan)
    : workplace_(workplace), plan_(std::move(plan)), policy_(worker_policy(*plan_.pool)), timer_(workplace.loop) {
    scale(plan_.pool->workers);
}

void Crew::start(bool proxy_ready) {
    proxy_ready_ = proxy_ready;
    started_ = true;
    for (Seat& seat : seats_) seat.next_start = now();
    start_due();
    publish();
}

bool Crew::configure(CrewPlan plan) {
    const bool same = plan.starts_like(plan_);
    if (proven_.pool && plan.starts_like(proven_)) proven_ = plan;
    plan_ = std::move(plan);
    policy_ = worker_policy(*plan_.pool);
    for (Seat& seat : seats_) seat.slot.adopt(restart_policy(*plan_.pool));
    pinned_ = false;
    if (wanted_by(*plan_.pool) != wanted_) scale(wanted_by(*plan_.pool));
    return !same;
}

// ---- starting
// -----------------------------------------------------------------------------------------------------------

void Crew::start_due() {
    if (renew_waits_) return arm();  // all of them start together, when there is room
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
        Seat& seat = seats_[slot];
        if (stopping_ || !started_ || !seat.next_start || *seat.next_start > now()) continue;
        if (count(WorkerState::starting) >= std::max(1u, pool().start_parallel)) break;
        seat.next_start.reset();
        start_in(slot);
    }
    roll_on();
    arm();
}

// A replacement tries what is wanted; what died is started again as it worked.
const CrewPlan& Crew::start_plan(std::uint32_t slot) const {
    return proven_.pool && !rolling_.running(slot) ? proven_ : plan_;
}

std::unique_ptr<IncarnationProcess> Crew::launch(std::uint32_t slot, const CrewPlan& plan, std::string& error) {
    auto worker = start_incarnation(workplace_, plan, slot, policy_, proxy_ready_, error);
    if (!worker) return nullptr;
    worker->recycling = Recycling(pool().recycle, workplace_.jitter());
    worker->replaces = rolling_.running(slot).has_value();
    const std::string name = control::worker_name(pool().name, slot);
    workplace_.guard(worker->process.pid, true);
    workplace_.log.info(
        "worker_started", fmt::format("{} started, pid {}", name, worker->process.pid),
        {{"pool", pool().name}, {"worker", name}, {"pid", worker->process.pid}, {"incarnation", worker->id}});
    workplace_.tell_proxy(control::WorkerUp{pool().name, slot, worker->id, workplace_.generation, worker->process.pid,
                                            worker->socket->address(), worker->socket->is_held(), false});
    return worker;
}

void Crew::start_in(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    if (seat.pending_reason) ++seat.restarts[static_cast<std::size_t>(*seat.pending_reason)];
    seat.pending_reason.reset();
    std::string error;
    seat.worker = launch(slot, start_plan(slot), error);
    if (!seat.worker) return failed_start(slot, error);
    report_usage_of(slot);
}

// Not even a process: told and tried again like a process that ended at once.
void Crew::failed_start(std::uint32_t slot, const std::string& why) {
    const std::string name = control::worker_name(pool().name, slot);
    workplace_.log.error("worker_start_failed", fmt::format("{} cannot be started: {}", name, why),
                         {{"pool", pool().name}, {"worker", name}, {"error", why}});
    last_lines_.clear();
    if (rolling_.running(slot)) roll_failed(slot, name + " cannot be started: " + why, {});
    plan_next(slot, {}, why);
    publish();
}

// ---- what the proxy says
// ------------------------------------------------------------------------------------------------

void Crew::proxy_changed(bool ready) {
    proxy_ready_ = ready;
    each([&](IncarnationProcess& worker) {
        worker.machine.on(ready ? WorkerEvent::proxy_back : WorkerEvent::proxy_lost, now());
    });
    start_due();
}

void Crew::introduce(const std::function<void(control::Message)>& tell) {
    each([&](const IncarnationProcess& worker) {
        const WorkerState state = worker.machine.state();
        if (state == WorkerState::stopping || state == WorkerState::dead) return;
        tell(control::WorkerUp{pool().name, worker.slot, worker.id, workplace_.generation, worker.process.pid,
                               worker.socket->address(), worker.socket->is_held(), worker.machine.was_ready()});
        if (state == WorkerState::draining)
            tell(control::WorkerDrain{worker.id, pool().drain_timeout, worker.drain_reason});
    });
    tell(status());
    report_usage();
}

// An endpoint that has not answered is not used, and nobody looks whether it hangs: without a limit it could stay so.
void Crew::await_answers(bool waits) {
    each([&](IncarnationProcess& worker) { worker.machine.introduce(now(), waits); });
    arm();
}

bool Crew::hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why) {
    const auto [slot, place] = find_incarnation(incarnation);
    if (place == nullptr) return false;
    Seat& seat = seats_[slot];
    IncarnationProcess& worker = *(seat.*place);
    // `breakpoint()` blocks as well, so a pool that follows its files is under somebody's eyes.
    const bool watched = !pool().command.watch.empty();
    if (event == WorkerEvent::hung && (watched || is_traced(worker.process.pid))) {
        workplace_.log.warn("worker_traced",
                            fmt::format("{} looks hung, but {}: left alone", control::worker_name(pool().name, slot),
                                        watched ? "its files are watched" : "a debugger is attached"));
        return true;
    }
    const WorkerState before = worker.machine.state();
    const bool was_sick = worker.machine.is_unhealthy();
    const WorkerAction action = worker.machine.on(event, now());
    if (event == WorkerEvent::unhealthy) worker.sickness = why;
    if (worker.machine.is_unhealthy() && !was_sick) worker.sick_since = unix_now();
    if (before == WorkerState::starting && event == WorkerEvent::answered) {
        became_ready(seat, worker);
    } else {
        log_word(worker, event, before, why);
    }
    apply(worker, action);
    start_due();
    publish();
    return true;
}

void Crew::became_ready(Seat& seat, IncarnationProcess& worker) {
    const std::string name = control::worker_name(pool().name, worker.slot);
    worker.journey.answered = now();
    ever_ready_ = true;
    broken_ = false;
    proven_ = worker.plan;
    seat.slot.on_ready();
    workplace_.log.info("worker_ready", fmt::format("{} ready: {}", name, worker.journey.text(now())),
                        {{"pool", pool().name}, {"worker", name}, {"pid", worker.process.pid}});
    if (seat.successor.get() == &worker) promote(seat);
    report_usage_of(worker.slot);
    if (worker.replaces && !seat.leaving) replaced(worker.slot);
}

bool Crew::hear_rejected(control::Incarnation incarnation, const std::string& why) {
    const auto [slot, place] = find_incarnation(incarnation);
    if (place == nullptr) return false;
    IncarnationProcess& worker = *(seats_[slot].*place);
    if (worker.rejected == why) return true;
    worker.rejected = why;
    const std::string name = control::worker_name(pool().name, slot);
    workplace_.log.warn("worker_start_rejected", fmt::format("{} answers, but not as ready: {}", name, why),
                        {{"pool", pool().name}, {"worker", name}, {"pid", worker.process.pid}});
    return true;
}

bool Crew::hear_stats(const control::WorkerStats& stats) {
    const auto [slot, place] = find_incarnation(stats.incarnation);
    if (place == nullptr) return false;
    IncarnationProcess& worker = *(seats_[slot].*place);
    worker.stats = stats;
    worker.recycling.counted(stats.requests);
    if (place == &Seat::worker) look_at_age(slot);
    return true;
}

void Crew::tell_drain(const IncarnationProcess& worker) {
    workplace_.tell_proxy(control::WorkerDrain{worker.id, pool().drain_timeout, worker.drain_reason});
}

void Crew::drain(IncarnationProcess& worker, control::DrainReason reason) {
    if (worker.machine.state() != WorkerState::draining) worker.drain_reason = reason;
    apply(worker, worker.machine.drain(pool().drain_timeout, now()));
}

void Crew::apply(IncarnationProcess& worker, WorkerAction action) {
    switch (action) {
        case WorkerAction::announce_drain:
            if (worker.machine.end() == WorkerEnd::unhealthy) worker.drain_reason = control::DrainReason::health;
            tell_drain(worker);
            break;
        case WorkerAction::send_stop:
            worker.signal(stop_signal(pool()));
            break;
        case WorkerAction::send_abort:
            if (worker.machine.end() == WorkerEnd::start_timeout) worker.elsewhere = listens_elsewhere(worker);
            worker.signal(SIGABRT);
            break;
        case WorkerAction::send_kill:
            worker.signal(SIGKILL);
            break;
        case WorkerAction::bury:
        case WorkerAction::nothing:
            break;
    }
}

// ---- the end of a worker
// ------------------------------------------------------------------------------------------------

bool Crew::kill_group_of(pid_t pid) {
    const auto [slot, place] = find_process(pid);
    if (place == nullptr) return false;
    (seats_[slot].*place)->signal(SIGKILL);  // its pid is still its own, so this cannot hit another group
    return true;
}

bool Crew::on_exit(pid_t pid, int status) {
    const auto [slot, place] = find_process(pid);
    if (place == nullptr) return false;
    (seats_[slot].*place)->machine.on(WorkerEvent::exited, now());
    bury(slot, place, status);
    renew_on();
    shrink();
    start_due();
    publish();
    return true;
}

void Crew::bury(std::uint32_t slot, Place place, int status) {
    Seat& seat = seats_[slot];
    const std::unique_ptr<IncarnationProcess> worker = std::move(seat.*place);
    workplace_.guard(worker->process.pid, false);
    worker->out->finish();
    worker->err->finish();
    worker->socket.reset();  // both names, before anybody is told
    const std::string how = describe_exit(status), why = because(worker->machine.end()) + worker->elsewhere;
    workplace_.tell_proxy(control::WorkerGone{worker->id, how});
    Ending ending{worker->machine.end(), worker->machine.was_ready(), {}};
    if (const auto since = worker->machine.ready_since()) {
        ending.ready_for = std::chrono::duration_cast<milliseconds>(now() - *since);
    }
    log_end(*worker, ending, status);
    if (is_failure(ending.end)) last_lines_ = worker->lines.last(told_lines);
    if (place == &Seat::leaving) {
        replaced(slot);
    } else if (place == &Seat::successor) {
        if (!stopping_ && slot < wanted_) worker_died(slot, *worker, ending, how + why);
    } else {
        worker_died(slot, *worker, ending, how + why);
        if (!seat.worker) plan_next(slot, ending, how + why);
    }
    report_usage_of(slot);
}

void Crew::plan_next(std::uint32_t slot, const Ending& ending, const std::string& how) {
    Seat& seat = seats_[slot];
    milliseconds wait = seat.slot.on_end(ending, now(), workplace_.jitter());
    const std::string name = control::worker_name(pool().name, slot);
    if (is_failure(ending.end)) {
        last_reason_ = name + ": " + how;
        news_ = true;
    }
    if (is_failure(ending.end) && !ending.was_ready && !pool().command.watch.empty()) {
        // The next change is what will mend it; it is tried now and then in case that something else was wrong.
        broken_ = true;
        wait = pool().restart.backoff_max;
    }
    if (!ever_ready_ && seat.slot.failed_starts() >= first_tries && start_failure_.empty())
        start_failure_ = last_reason_;
    if (is_failure(ending.end) && !ending.was_ready) tell_start({pool().name, false, 0, last_reason_, last_lines_});
    if (stopping_ || slot >= wanted_ || renew_waits_) return;
    seat.pending_reason = rolling_.running(slot) ? rolling_.running(slot) : Slot::reason(ending);
    seat.next_start = now() + wait;
    if (wait > milliseconds(0)) {
        workplace_.log.info("worker_restart", fmt::format("{} starts again in {} ms", name, wait.count()),
                            {{"pool", pool().name}, {"worker", name}, {"wait_ms", wait}});
    }
}

void Crew::stop() {
    stopping_ = true;
    for (Seat& seat : seats_) seat.next_start.reset();
    each([&](IncarnationProcess& worker) { apply(worker, worker.machine.on(WorkerEvent::stop, now())); });
    tell_verdict({pool().name, false, rolling_.replaced(), "the program stops", {}});
    tell_start({pool().name, false, 0, "the program stops", {}});
    arm();
    publish();
}

void Crew::kill() {
    stopping_ = true;
    for (Seat& seat : seats_) seat.next_start.reset();
    each([&](IncarnationProcess& worker) { apply(worker, worker.machine.on(WorkerEvent::kill, now())); });
    tell_verdict({pool().name, false, rolling_.replaced(), "the program stops", {}});
    tell_start({pool().name, false, 0, "the program stops", {}});
    arm();
}

bool Crew::is_empty() const {
    return processes().empty();
}

// ---- time
// ---------------------------------------------------------------------------------------------------------------

void Crew::on_timer() {
    each([&](IncarnationProcess& worker) {
        worker.socket->open_to_proxy({worker.plan.identity, workplace_.proxy});
        if (!worker.machine.due() || *worker.machine.due() > now()) return;
        const bool serving = worker.machine.state() != WorkerState::stopping;
        const bool unproven = worker.machine.is_unproven();
        // As in `hear`: where files are watched, somebody may be at a `breakpoint()`.
        const bool left_alone = unproven && !pool().command.watch.empty();
        if (serving && (left_alone || is_traced(worker.process.pid))) return worker.machine.postpone(now());
        const WorkerAction action = worker.machine.on(WorkerEvent::deadline, now());
        if (unproven && action == WorkerAction::send_abort) log_silent(worker);
        apply(worker, action);
    });
    start_due();
    publish();
}

void Crew::arm() {
    TimePoint next = io::never;
    for (const Seat& seat : seats_) {
        // A start that must wait for others is looked at again when one of them is ready or dead.
        if (seat.next_start && *seat.next_start > now()) next = std::min(next, *seat.next_start);
    }
    each([&](IncarnationProcess& worker) {
        if (const auto due = worker.machine.due()) next = std::min(next, *due);
        const bool binding = worker.machine.state() == WorkerState::starting;
        if (binding && !worker.socket->open_to_proxy({worker.plan.identity, workplace_.proxy}))
            next = std::min(next, now() + socket_poll);
    });
    timer_.cancel();
    if (next == io::never) return;
    timer_.expires_at(next);
    timer_.async_wait([this, alive = std::weak_ptr<void>(alive_)](boost::system::error_code error) {
        if (!error && !alive.expired()) on_timer();
    });
}

// ---- looking
// ------------------------------------------------------------------------------------------------------------

template <class Work>
void Crew::each(Work work) {
    for (Seat& seat : seats_) {
        for (const Place place : {&Seat::worker, &Seat::successor, &Seat::leaving}) {
            if (seat.*place) work(*(seat.*place));
        }
    }
}

std::vector<const IncarnationProcess*> Crew::processes() const {
    std::vector<const IncarnationProcess*> all;
    for (const Seat& seat : seats_) {
        for (const Place place : {&Seat::worker, &Seat::successor, &Seat::leaving}) {
            if (seat.*place) all.push_back((seat.*place).get());
        }
    }
    return all;
}

std::pair<std::uint32_t, Crew::Place> Crew::find_incarnation(control::Incarnation incarnation) {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
        for (const Place place : {&Seat::worker, &Seat::successor, &Seat::leaving}) {
            if (seats_[slot].*place && (seats_[slot].*place)->id == incarnation) return {slot, place};
        }
    }
    return {0, nullptr};
}

std::pair<std::uint32_t, Crew::Place> Crew::find_process(pid_t pid) {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
        for (const Place place : {&Seat::worker, &Seat::successor, &Seat::leaving}) {
            if (seats_[slot].*place && (seats_[slot].*place)->process.pid == pid) return {slot, place};
        }
    }
    return {0, nullptr};
}

// Successors too: no more than `start_parallel` start at a time, whatever for.
std::size_t Crew::count(WorkerState state) const {
    const auto all = processes();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const auto* one) { return one->machine.state() == state; }));
}

}  // namespace edgeproxy::master
