// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/incarnation.hpp"

#include <fmt/format.h>
#include <signal.h>

#include "upstream/master/time.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {
namespace {

constexpr int worker_oom_score = 200;
constexpr int inherited_fd = 3;  // the only one that is passed

// A line that a worker wrote goes to our log and into its ring.
LineSplitter::Take line_taker(const Workplace& workplace, IncarnationProcess& worker, LineOrigin origin) {
    return [&workplace, &worker, origin = std::move(origin)](std::string_view line) {
        worker.lines.add(line);
        workplace.print(origin, line);
    };
}

// Its output goes on where an earlier reader stopped.
void attach(const Workplace& workplace, IncarnationProcess& worker, io::UniqueFd out, io::UniqueFd err,
            LineSplitter::Memory out_rest = {}, LineSplitter::Memory err_rest = {}) {
    const std::string& pool = worker.plan.pool->name;
    LineOrigin origin{pool, control::worker_name(pool, worker.slot), worker.process.pid, false};
    worker.out = std::make_unique<LogPipe>(workplace.loop, std::move(out), line_taker(workplace, worker, origin),
                                           std::move(out_rest));
    origin.is_error = true;
    worker.err = std::make_unique<LogPipe>(workplace.loop, std::move(err), line_taker(workplace, worker, origin),
                                           std::move(err_rest));
}

// One that was at its end stays there.
io::UniqueFd pipe_end(int fd) {
    return fd >= 0 ? io::UniqueFd(fd) : make_log_pipe().first;
}

void limit(ProcessRequest& request, const config::WorkerResources& resources, std::uint32_t slot) {
    if (resources.open_files != 0) request.open_files = resources.open_files;
    if (resources.memory != 0) request.memory = resources.memory;
    request.nice = static_cast<int>(resources.nice);
    request.cpus = resources.cpus;
    if (!resources.spread_cpus) return;
    const std::vector<unsigned> ours = allowed_cpus();
    if (!ours.empty()) request.cpus = {ours[slot % ours.size()]};
}

ProcessRequest request_for(const Workplace& workplace, const IncarnationProcess& worker) {
    const config::Pool& pool = *worker.plan.pool;
    const WorkerSocket& socket = *worker.socket;
    Place place{worker.slot, socket.address(), socket.listener() >= 0 ? inherited_fd : -1};
    if (!socket.path().empty()) place.address.host = socket.path();  // the worker's name for it, not the proxy's
    ProcessRequest request;
    request.argv = worker_arguments(pool, place);
    request.environment = worker_environment(pool, place, workplace.environment);
    if (worker.plan.identity) adopt_account(request.environment, pool, *worker.plan.identity);
    request.working_dir = pool.command.working_dir;
    request.identity = worker.plan.identity;
    if (socket.listener() >= 0) request.pass = {socket.listener()};
    request.death_signal = SIGTERM;
    request.core = workplace.core;
    request.oom_score_adj = worker_oom_score;
    limit(request, pool.command.resources, worker.slot);
    return request;
}

}  // namespace

bool CrewPlan::starts_like(const CrewPlan& other) const {
    config::Command command = pool->command;
    command.stop_signal = other.pool->command.stop_signal;  // said at the end, not at the start
    command.watch = other.pool->command.watch;
    return command == other.pool->command && identity == other.identity;
}

std::string Journey::text(TimePoint now) const {
    const auto ms = [&](TimePoint point) { return std::chrono::duration_cast<milliseconds>(point - begun).count(); };
    if (!executed) return fmt::format("not executed after {} ms", ms(now));
    if (!answered) return fmt::format("executed in {} ms, no answer in {} ms", ms(*executed), ms(now));
    return fmt::format("executed in {} ms, answered after {} ms", ms(*executed), ms(*answered));
}

void IncarnationProcess::signal(int number) const {
    if (process.pid > 0) ::kill(-process.pid, number);
}

std::unique_ptr<IncarnationProcess> start_incarnation(const Workplace& workplace, const CrewPlan& plan,
                                                      std::uint32_t slot, WorkerPolicy policy, bool clocks_run,
                                                      std::string& error) {
    const config::Pool& pool = *plan.pool;
    const TimePoint begun = now();
    auto worker =
        std::make_unique<IncarnationProcess>(workplace.next_incarnation(), plan, slot, policy, begun, clocks_run);
    worker->journey.begun = begun;
    const bool needs_dir = pool.command.bind != config::Bind::tcp && workplace.restore_run_dir;
    if (needs_dir && !workplace.restore_run_dir(error)) return nullptr;
    worker->socket =
        WorkerSocket::make(pool.command.bind, workplace.run_dir, worker->id, {plan.identity, workplace.proxy}, error);
    if (!worker->socket) return nullptr;
    auto out = make_log_pipe(), err = make_log_pipe();
    if (!out.first || !err.first) {
        error = "cannot make the log pipes";
        return nullptr;
    }
    ProcessRequest request = request_for(workplace, *worker);
    request.out = out.second.get();
    request.err = err.second.get();
    StartFailure failure;
    auto process = start_process(request, failure);
    if (!process) {
        error = failure.text(request);
        return nullptr;
    }
    worker->socket->close_listener();
    worker->process = std::move(*process);
    worker->journey.executed = now();
    worker->started_at = unix_now();
    attach(workplace, *worker, std::move(out.first), std::move(err.first));
    return worker;
}

IncarnationProcess::Memory IncarnationProcess::memory() const {
    Memory out_;
    out_.id = id;
    out_.pid = process.pid;
    out_.machine = machine.memory();
    out_.socket = socket->memory();
    for (const std::string& line : lines.last(control::max_lines))
        out_.lines.push_back(line.substr(0, control::max_line));
    out_.out = out->fd();
    out_.err = err->fd();
    out_.out_rest = out->memory();
    out_.err_rest = err->memory();
    out_.journey = journey;
    out_.started_at = started_at;
    out_.rss_bytes = rss_bytes;
    out_.requests = stats.requests;
    out_.in_flight = stats.in_flight;
    out_.rejected = rejected;
    out_.sickness = sickness;
    out_.sick_since = sick_since;
    out_.recycling = recycling.memory();
    out_.replaces = replaces;
    out_.drain_reason = drain_reason;
    return out_;
}

std::unique_ptr<IncarnationProcess> adopt_incarnation(const Workplace& workplace, const CrewPlan& plan,
                                                      std::uint32_t slot, WorkerPolicy policy,
                                                      const IncarnationProcess::Memory& memory) {
    auto worker = std::make_unique<IncarnationProcess>(memory.id, plan, slot, policy, memory.journey.begun,
                                                       memory.machine.clocks_run);
    worker->machine.recall(memory.machine);
    worker->process = {memory.pid, open_pidfd(memory.pid)};
    worker->socket = WorkerSocket::adopt(memory.socket);
    for (const std::string& line : memory.lines) worker->lines.add(line);
    worker->journey = memory.journey;
    worker->started_at = memory.started_at;
    worker->rss_bytes = memory.rss_bytes;
    worker->stats = {memory.id, memory.requests, memory.in_flight};
    worker->rejected = memory.rejected;
    worker->sickness = memory.sickness;
    worker->sick_since = memory.sick_since;
    worker->recycling.recall(memory.recycling);
    worker->replaces = memory.replaces;
    worker->drain_reason = memory.drain_reason;
    attach(workplace, *worker, pipe_end(memory.out), pipe_end(memory.err), memory.out_rest, memory.err_rest);
    return worker;
}

}  // namespace edgeproxy::master
