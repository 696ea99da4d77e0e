// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/crew.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "upstream/master/usage.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {
namespace {

constexpr milliseconds socket_poll{50};  // how soon a path that a worker binds itself is opened to the proxy
constexpr std::size_t told_lines = control::max_lines;

TimePoint now() {
    return io::Clock::real().now();
}

WorkerPolicy worker_policy(const Workplace& workplace, const config::Pool& pool) {
    WorkerPolicy policy;
    policy.health_kill_after = workplace.health_kill_after;
    policy.start_timeout = pool.start_timeout;
    policy.drain_timeout = pool.drain_timeout;
    policy.stop_grace_period = pool.stop_grace_period;
    return policy;
}

RestartPolicy restart_policy(const config::Pool& pool) {
    RestartPolicy policy;
    policy.backoff_min = pool.restart.backoff_min;
    policy.backoff_max = pool.restart.backoff_max;
    policy.loop_failures = pool.restart.crash_loop_failures;
    policy.loop_window = pool.restart.crash_loop_window;
    return policy;
}

int stop_signal(const config::Pool& pool) {
    const int number = signal_number(pool.command.stop_signal);
    return number != 0 ? number : SIGTERM;
}

const char* because(WorkerEnd end) {
    switch (end) {
        case WorkerEnd::unasked:
            return "";
        case WorkerEnd::asked:
            return " as asked";
        case WorkerEnd::start_timeout:
            return " after its start took too long";
        case WorkerEnd::hung:
            return " since it hung";
        case WorkerEnd::unhealthy:
            return " since it stayed unhealthy";
        case WorkerEnd::killed:
            return " at once, as asked";
    }
    return "";
}

bool is_failure(WorkerEnd end) {
    return end != WorkerEnd::asked && end != WorkerEnd::killed;
}

}  // namespace

Crew::Crew(const Workplace& workplace, const config::Pool& pool, std::optional<Identity> identity)
    : workplace_(workplace),
      pool_(pool),
      identity_(std::move(identity)),
      policy_(worker_policy(workplace, pool)),
      timer_(workplace.loop) {
    for (unsigned i = 0; i < pool.workers; ++i) seats_.emplace_back(restart_policy(pool));
}

void Crew::start(bool proxy_ready) {
    proxy_ready_ = proxy_ready;
    for (Seat& seat : seats_) seat.next_start = now();
    start_due();
    publish();
}

// ---- starting
// -----------------------------------------------------------------------------------------------------------

void Crew::start_due() {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
        Seat& seat = seats_[slot];
        if (stopping_ || !seat.next_start || *seat.next_start > now()) continue;
        if (count(WorkerState::starting) >= std::max(1u, pool_.start_parallel)) break;
        seat.next_start.reset();
        start_in(slot);
    }
    arm();
}

void Crew::start_in(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    std::string error;
    seat.worker = start_incarnation(workplace_, pool_, identity_, slot, policy_, proxy_ready_, error);
    if (seat.pending_reason) ++seat.restarts[static_cast<std::size_t>(*seat.pending_reason)];
    seat.pending_reason.reset();
    if (!seat.worker) return failed_start(slot, error);
    const IncarnationProcess& worker = *seat.worker;
    const std::string name = worker_name(pool_.name, slot);
    workplace_.guard(worker.process.pid, true);
    workplace_.log.info(
        "worker_started", fmt::format("{} started, pid {}", name, worker.process.pid),
        {{"pool", pool_.name}, {"worker", name}, {"pid", worker.process.pid}, {"incarnation", worker.id}});
    workplace_.tell_proxy(control::WorkerUp{pool_.name, slot, worker.id, workplace_.generation, worker.process.pid,
                                            worker.socket->address(), worker.socket->is_held(), false});
    report_usage_of(slot);
}

// Not even a process: told and tried again like a process that ended at once.
void Crew::failed_start(std::uint32_t slot, const std::string& why) {
    const std::string name = worker_name(pool_.name, slot);
    workplace_.log.error("worker_start_failed", fmt::format("{} cannot be started: {}", name, why),
                         {{"pool", pool_.name}, {"worker", name}, {"error", why}});
    last_lines_.clear();
    plan_next(slot, {}, why);
    publish();
}

// ---- what the proxy says
// ------------------------------------------------------------------------------------------------

void Crew::proxy_changed(bool ready) {
    proxy_ready_ = ready;
    for (Seat& seat : seats_) {
        if (seat.worker) seat.worker->machine.on(ready ? WorkerEvent::proxy_back : WorkerEvent::proxy_lost, now());
    }
    arm();
}

void Crew::introduce() {
    for (const Seat& seat : seats_) {
        if (!seat.worker) continue;
        const IncarnationProcess& worker = *seat.worker;
        const WorkerState state = worker.machine.state();
        if (state == WorkerState::stopping || state == WorkerState::dead) continue;
        workplace_.tell_proxy(control::WorkerUp{pool_.name, worker.slot, worker.id, workplace_.generation,
                                                worker.process.pid, worker.socket->address(), worker.socket->is_held(),
                                                worker.machine.was_ready()});
        if (state == WorkerState::draining) {
            tell_drain(worker);
        }
    }
    workplace_.tell_proxy(status());
    report_usage();
}

bool Crew::hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why) {
    Seat* seat = seat_of(incarnation);
    if (seat == nullptr) return false;
    IncarnationProcess& worker = *seat->worker;
    const std::string name = worker_name(pool_.name, worker.slot);
    if (event == WorkerEvent::hung && is_traced(worker.process.pid)) {
        workplace_.log.warn("worker_traced", name + " looks hung, but a debugger is attached: left alone");
        return true;
    }
    const WorkerState before = worker.machine.state();
    const WorkerAction action = worker.machine.on(event, now());
    if (before == WorkerState::starting && event == WorkerEvent::answered) {
        worker.journey.answered = now();
        ever_ready_ = true;
        seat->slot.on_ready();
        report_usage_of(worker.slot);
        workplace_.log.info("worker_ready", fmt::format("{} ready: {}", name, worker.journey.text(now())),
                            {{"pool", pool_.name}, {"worker", name}, {"pid", worker.process.pid}});
    } else if (event == WorkerEvent::hung || (event == WorkerEvent::suspect && before == WorkerState::ready) ||
               (event == WorkerEvent::unhealthy && before != WorkerState::starting)) {
        workplace_.log.warn(event == WorkerEvent::unhealthy ? "worker_unhealthy" : "worker_suspect",
                            fmt::format("{} {}", name,
                                        event == WorkerEvent::unhealthy ? "is unhealthy: " + why
                                        : event == WorkerEvent::hung    ? "hangs: it is ended"
                                                                        : "does not read its requests"),
                            {{"pool", pool_.name}, {"worker", name}, {"pid", worker.process.pid}});
    }
    apply(*seat, action);
    start_due();
    publish();
    return true;
}

bool Crew::hear_rejected(control::Incarnation incarnation, const std::string& why) {
    Seat* seat = seat_of(incarnation);
    if (seat == nullptr) return false;
    IncarnationProcess& worker = *seat->worker;
    if (worker.rejected == why) return true;
    worker.rejected = why;
    const std::string name = worker_name(pool_.name, worker.slot);
    workplace_.log.warn("worker_start_rejected", fmt::format("{} answers, but not as ready: {}", name, why),
                        {{"pool", pool_.name}, {"worker", name}, {"pid", worker.process.pid}});
    return true;
}

bool Crew::hear_stats(const control::WorkerStats& stats) {
    Seat* seat = seat_of(stats.incarnation);
    if (seat == nullptr) return false;
    seat->worker->stats = stats;
    return true;
}

void Crew::tell_drain(const IncarnationProcess& worker) {
    const bool ill = worker.machine.end() == WorkerEnd::unhealthy;
    workplace_.tell_proxy(control::WorkerDrain{worker.id, pool_.drain_timeout,
                                               ill ? control::DrainReason::health : control::DrainReason::request});
}

void Crew::apply(Seat& seat, WorkerAction action) {
    IncarnationProcess& worker = *seat.worker;
    switch (action) {
        case WorkerAction::announce_drain:
            tell_drain(worker);
            break;
        case WorkerAction::send_stop:
            worker.signal(stop_signal(pool_));
            break;
        case WorkerAction::send_abort:
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
    for (const Seat& seat : seats_) {
        if (!seat.worker || seat.worker->process.pid != pid) continue;
        seat.worker->signal(SIGKILL);  // its pid is still its own, so this cannot hit another group
        return true;
    }
    return false;
}

bool Crew::on_exit(pid_t pid, int status) {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
        Seat& seat = seats_[slot];
        if (!seat.worker || seat.worker->process.pid != pid) continue;
        seat.worker->machine.on(WorkerEvent::exited, now());
        bury(slot, status);
        start_due();
        publish();
        return true;
    }
    return false;
}

void Crew::bury(std::uint32_t slot, int status) {
    Seat& seat = seats_[slot];
    const std::unique_ptr<IncarnationProcess> worker = std::move(seat.worker);
    workplace_.guard(worker->process.pid, false);
    worker->out->finish();
    worker->err->finish();
    worker->socket.reset();  // both names, before anybody is told
    const std::string how = describe_exit(status);
    workplace_.tell_proxy(control::WorkerGone{worker->id, how});
    Ending ending{worker->machine.end(), worker->machine.was_ready(), {}};
    if (const auto since = worker->machine.ready_since()) {
        ending.ready_for = std::chrono::duration_cast<milliseconds>(now() - *since);
    }
    log_end(*worker, ending, status);
    if (is_failure(ending.end)) last_lines_ = worker->lines.last(told_lines);
    plan_next(slot, ending, how + because(ending.end));
    report_usage_of(slot);
}

void Crew::log_end(const IncarnationProcess& worker, const Ending& ending, int status) {
    const std::string name = worker_name(pool_.name, worker.slot);
    const double up = std::chrono::duration<double>(now() - worker.journey.begun).count();
    const std::string text = fmt::format("{} ended{}: {}, pid {}, up {:.1f} s ({})", name, because(ending.end),
                                         describe_exit(status), worker.process.pid, up, worker.journey.text(now()));
    const bool signalled = WIFSIGNALED(status);
    const char* how = signalled ? "signal" : "exit_code";
    const int number = signalled ? WTERMSIG(status) : WEXITSTATUS(status);
    if (!is_failure(ending.end)) {
        workplace_.log.info(
            "worker_exit", text,
            {{"pool", pool_.name}, {"worker", name}, {"pid", worker.process.pid}, {how, number}, {"uptime_s", up}});
        return;
    }
    const std::string tail = fmt::format("{}", fmt::join(worker.lines.last(told_lines), "\n"));
    workplace_.log.error("worker_exit", text,
                         {{"pool", pool_.name},
                          {"worker", name},
                          {"pid", worker.process.pid},
                          {how, number},
                          {"uptime_s", up},
                          {"rss_bytes", worker.rss_bytes},
                          {"inflight", worker.stats.in_flight},
                          {"stderr_tail", tail}});
}

void Crew::plan_next(std::uint32_t slot, const Ending& ending, const std::string& how) {
    Seat& seat = seats_[slot];
    const milliseconds wait = seat.slot.on_end(ending, now(), workplace_.jitter());
    const std::string name = worker_name(pool_.name, slot);
    if (is_failure(ending.end)) {
        last_reason_ = name + ": " + how;
        news_ = true;
    }
    if (!ever_ready_ && seat.slot.failed_starts() >= first_tries && start_failure_.empty())
        start_failure_ = last_reason_;
    if (stopping_) return;
    seat.pending_reason = Slot::reason(ending);
    seat.next_start = now() + wait;
    if (wait > milliseconds(0)) {
        workplace_.log.info("worker_restart", fmt::format("{} starts again in {} ms", name, wait.count()),
                            {{"pool", pool_.name}, {"worker", name}, {"wait_ms", wait}});
    }
}

void Crew::stop() {
    stopping_ = true;
    for (Seat& seat : seats_) {
        seat.next_start.reset();
        if (seat.worker) apply(seat, seat.worker->machine.on(WorkerEvent::stop, now()));
    }
    arm();
    publish();
}

void Crew::kill() {
    stopping_ = true;
    for (Seat& seat : seats_) {
        seat.next_start.reset();
        if (seat.worker) apply(seat, seat.worker->machine.on(WorkerEvent::kill, now()));
    }
    arm();
}

bool Crew::is_empty() const {
    return std::none_of(seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.worker != nullptr; });
}

// ---- time
// ---------------------------------------------------------------------------------------------------------------

void Crew::on_timer() {
    const SocketOwners owners{identity_, workplace_.proxy};
    for (Seat& seat : seats_) {
        if (!seat.worker) continue;
        IncarnationProcess& worker = *seat.worker;
        worker.socket->open_to_proxy(owners);
        if (!worker.machine.due() || *worker.machine.due() > now()) continue;
        const bool serving = worker.machine.state() != WorkerState::stopping;
        if (serving && is_traced(worker.process.pid)) {
            worker.machine.postpone(now());
            continue;
        }
        apply(seat, worker.machine.on(WorkerEvent::deadline, now()));
    }
    start_due();
    publish();
}

void Crew::arm() {
    const SocketOwners owners{identity_, workplace_.proxy};
    TimePoint next = io::never;
    for (const Seat& seat : seats_) {
        // A start that must wait for others is looked at again when one of them is ready or dead.
        if (seat.next_start && *seat.next_start > now()) next = std::min(next, *seat.next_start);
        if (!seat.worker) continue;
        if (const auto due = seat.worker->machine.due()) next = std::min(next, *due);
        const bool binding = seat.worker->machine.state() == WorkerState::starting;
        if (binding && !seat.worker->socket->open_to_proxy(owners)) next = std::min(next, now() + socket_poll);
    }
    timer_.cancel();
    if (next == io::never) return;
    timer_.expires_at(next);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) on_timer();
    });
}

// ---- telling
// ------------------------------------------------------------------------------------------------------------

std::size_t Crew::count(WorkerState state) const {
    return static_cast<std::size_t>(std::count_if(seats_.begin(), seats_.end(), [&](const Seat& seat) {
        return seat.worker && seat.worker->machine.state() == state;
    }));
}

control::PoolState Crew::state() const {
    if (stopping_) return is_empty() ? control::PoolState::stopped : control::PoolState::draining;
    if (count(WorkerState::ready) == seats_.size()) return control::PoolState::ok;
    const bool looping =
        std::any_of(seats_.begin(), seats_.end(), [](const Seat& s) { return s.slot.is_looping(now()); });
    if (looping) return control::PoolState::crash_looping;
    return ever_ready_ ? control::PoolState::degraded : control::PoolState::starting;
}

control::PoolStatus Crew::status() const {
    control::PoolStatus out;
    out.pool = pool_.name;
    out.state = state();
    if (out.state == control::PoolState::ok) return out;
    out.reason = last_reason_;
    out.last_lines = last_lines_;
    std::optional<TimePoint> next;
    for (const Seat& seat : seats_) {
        if (seat.next_start && (!next || *seat.next_start < *next)) next = seat.next_start;
    }
    if (next && *next > now()) out.retry_after = std::chrono::duration_cast<milliseconds>(*next - now());
    return out;
}

void Crew::publish() {
    const control::PoolState current = state();
    if (published_ == current && !news_) return;
    news_ = false;
    if (published_ != current) {
        workplace_.log.info("pool_state", fmt::format("pool {} is {}", pool_.name, word(current)),
                            {{"pool", pool_.name}, {"state", word(current)}});
    }
    published_ = current;
    workplace_.tell_proxy(status());
    workplace_.changed();
}

void Crew::report_usage() {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) report_usage_of(slot);
}

void Crew::report_usage_of(std::uint32_t slot) {
    const Seat& seat = seats_[slot];
    control::WorkerUsage out;
    out.pool = pool_.name;
    out.slot = slot;
    out.restarts = seat.restarts;
    if (seat.worker) {
        const Usage usage = measure(seat.worker->process.pid);
        seat.worker->rss_bytes = usage.rss_bytes;
        out.rss_bytes = usage.rss_bytes;
        out.cpu_ms = static_cast<std::uint64_t>(usage.cpu.count());
        out.started_at = seat.worker->started_at;
    }
    workplace_.tell_proxy(out);
}

Crew::Seat* Crew::seat_of(control::Incarnation incarnation) {
    for (Seat& seat : seats_) {
        if (seat.worker && seat.worker->id == incarnation) return &seat;
    }
    return nullptr;
}

}  // namespace edgeproxy::master
