// SPDX-License-Identifier: Apache-2.0
// Crew: what it says, to the log and to the proxy.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <algorithm>

#include "upstream/master/crew.hpp"
#include "upstream/master/listening.hpp"
#include "upstream/master/time.hpp"
#include "upstream/master/usage.hpp"

namespace edgeproxy::master {
namespace {

constexpr std::size_t told_lines = control::max_lines;

}  // namespace

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

// A part of a sentence, empty when there is nothing to be seen.
std::string listens_elsewhere(const IncarnationProcess& worker) {
    const std::string wanted = worker.socket->address().to_string();
    const std::vector<std::string> found = listening_of(worker.process.pid);
    if (found.empty() || std::find(found.begin(), found.end(), wanted) != found.end()) return {};
    return fmt::format(
        " (it listens on {}, but requests come to {}: let its command take {{port}}, {{socket}} or {{fd}})",
        fmt::join(found, ", "), wanted);
}

bool is_failure(WorkerEnd end) {
    return end != WorkerEnd::asked && end != WorkerEnd::killed;
}

void Crew::log_word(const IncarnationProcess& worker, WorkerEvent event, WorkerState before, const std::string& why) {
    const std::string name = control::worker_name(pool().name, worker.slot);
    const auto warn = [&](const char* what, const std::string& text) {
        workplace_.log.warn(what, name + " " + text,
                            {{"pool", pool().name}, {"worker", name}, {"pid", worker.process.pid}});
    };
    if (event == WorkerEvent::hung) {
        warn("worker_hung", "hangs: it is ended");
    } else if (event == WorkerEvent::suspect && before == WorkerState::ready) {
        warn("worker_suspect", stopped_by_signal(worker.process.pid)
                                   ? "does not read its requests: it is stopped by a signal"
                                   : "does not read its requests");
    } else if (event == WorkerEvent::resumed && before == WorkerState::suspect) {
        warn("worker_resumed", "reads again");
    } else if (event == WorkerEvent::unhealthy && before != WorkerState::starting) {
        warn("worker_unhealthy", "is unhealthy: " + why);
    }
}

void Crew::log_silent(const IncarnationProcess& worker) {
    const std::string name = control::worker_name(pool().name, worker.slot);
    workplace_.log.warn("worker_hung",
                        fmt::format("{} hangs: it has not answered the new proxy process in {} ms; it is ended", name,
                                    worker.plan.pool->start_timeout.count()),
                        {{"pool", pool().name}, {"worker", name}, {"pid", worker.process.pid}});
}

void Crew::log_end(const IncarnationProcess& worker, const Ending& ending, int status) {
    const std::string name = control::worker_name(pool().name, worker.slot);
    const double up = std::chrono::duration<double>(now() - worker.journey.begun).count();
    const std::string text =
        fmt::format("{} ended{}{}: {}, pid {}, up {:.1f} s ({})", name, because(ending.end), worker.elsewhere,
                    describe_exit(status), worker.process.pid, up, worker.journey.text(now()));
    const bool signalled = WIFSIGNALED(status);
    const char* how = signalled ? "signal" : "exit_code";
    const int number = signalled ? WTERMSIG(status) : WEXITSTATUS(status);
    if (!is_failure(ending.end)) {
        workplace_.log.info(
            "worker_exit", text,
            {{"pool", pool().name}, {"worker", name}, {"pid", worker.process.pid}, {how, number}, {"uptime_s", up}});
        return;
    }
    const std::string tail = fmt::format("{}", fmt::join(worker.lines.last(told_lines), "\n"));
    workplace_.log.error("worker_exit", text,
                         {{"pool", pool().name},
                          {"worker", name},
                          {"pid", worker.process.pid},
                          {how, number},
                          {"uptime_s", up},
                          {"rss_bytes", worker.rss_bytes},
                          {"inflight", worker.stats.in_flight},
                          {"stderr_tail", tail}});
}

control::PoolState Crew::state() const {
    if (stopping_ || retired_) return is_empty() ? control::PoolState::stopped : control::PoolState::draining;
    const auto is_ready = [](const Seat& seat) {
        return seat.worker && seat.worker->machine.state() == WorkerState::ready;
    };
    const auto end = seats_.begin() + wanted_;
    if (std::all_of(seats_.begin(), end, is_ready)) return control::PoolState::ok;
    const bool looping = std::any_of(seats_.begin(), end, [](const Seat& s) { return s.slot.is_looping(now()); });
    if (looping || broken_) return control::PoolState::crash_looping;
    return ever_ready_ ? control::PoolState::degraded : control::PoolState::starting;
}

control::PoolStatus Crew::status() const {
    control::PoolStatus out;
    out.pool = pool().name;
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
    if (current == control::PoolState::ok && !awaited_.empty()) tell_start({pool().name, true, wanted_, {}, {}});
    if (published_ == current && !news_) return;
    news_ = false;
    if (published_ != current) {
        workplace_.log.info("pool_state", fmt::format("pool {} is {}", pool().name, word(current)),
                            {{"pool", pool().name}, {"state", word(current)}});
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
    out.pool = pool().name;
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

}  // namespace edgeproxy::master
