// SPDX-License-Identifier: Apache-2.0
// The other half of House: children that end, and the end of everything.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <fstream>

#include "upstream/master/house.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

constexpr milliseconds reserve{5000};  // the last part of the grace period, kept for TERM and KILL
constexpr milliseconds late{1000};     // what the proxy's word may come too late

milliseconds until(TimePoint point) {
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(point - now()));
}

bool can_serve(const Crew& crew) {
    return crew.state() == control::PoolState::ok || crew.state() == control::PoolState::degraded;
}

}  // namespace

// ---- children
// -----------------------------------------------------------------------------------------------------------

// Everything that died below us, our own or adopted. A worker's group is killed while its leader still holds the pid.
void House::reap() {
    for (;;) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
        const pid_t pid = info.si_pid;
        fleet_.kill_group_of(pid);
        int status = 0;
        if (::waitpid(pid, &status, 0) == pid) child_ended(pid, status);
    }
}

void House::child_ended(pid_t pid, int status) {
    if (proxy_.on_exit(pid, status) || reload_.on_exit(pid, status) || upgrade_.on_exit(pid, status)) return;
    if (pid == guard_.pid()) {
        log_.warn("guard_exit", "the guard process ended: " + describe_exit(status) + "; starting another");
        if (!guard_.restart()) log_.error("guard_failed", "cannot start the guard process; going on without it");
        return;
    }
    if (fleet_.on_exit(pid, status)) return leave_if_empty();
    log_.debug("orphan_reaped",
               fmt::format("process {}, left behind by another, ended: {}", pid, describe_exit(status)));
}

void House::look_at_crews() {
    if (phase_ != Phase::running) return;
    const auto& crews = fleet_.crews();
    for (const auto& crew : crews) {
        if (crew->start_failure().empty() || !crew->pool().required || crew->was_ever_ready()) continue;
        if (late_pools_.count(crew->pool().name) != 0) continue;  // the program has served without it
        const config::Command& command = crew->pool().command;
        std::string why = fmt::format(
            "pool {} did not come up after {} tries: {}\n    command: {}\n    working_dir: {}", crew->pool().name,
            Crew::first_tries, crew->start_failure(), fmt::join(command.argv, " "), command.working_dir);
        for (const std::string& line : crew->last_lines()) why += "\n    " + line;
        return fail(ExitCode::pool_failed, why);
    }
    tell_service_manager();
    const auto serving = std::count_if(crews.begin(), crews.end(), [](const auto& crew) { return can_serve(*crew); });
    if (told_ready_ || !proxy_.is_ready() || static_cast<std::size_t>(serving) < crews.size()) return;
    told_ready_ = true;
    log_.info("ready", fmt::format("ready: {0} of {0} managed pools can serve", crews.size()));
}

// Ready means that every pool that has to be there can serve; a pool may be ill later without us being any less ready.
void House::tell_service_manager() {
    if (!proxy_.is_ready()) return notifier_.status("the proxy process starts");
    const auto& crews = fleet_.crews();
    std::size_t serving = 0;
    bool all_required = true;
    std::string ill;
    for (const auto& crew : crews) {
        const bool serves = can_serve(*crew);
        serving += serves ? 1 : 0;
        all_required = all_required && (serves || !crew->pool().required);
        if (!serves && told_manager_) ill += fmt::format("; pool {} is {}", crew->pool().name, word(crew->state()));
    }
    const std::string status =
        crews.empty() ? std::string("ready")
                      : fmt::format("{}: {} of {} managed pools can serve{}",
                                    told_manager_ || all_required ? "ready" : "starting", serving, crews.size(), ill);
    if (told_manager_ || !all_required) return notifier_.status(status);
    told_manager_ = true;
    notifier_.ready(status);
}

// ---- the end
// ------------------------------------------------------------------------------------------------------------

void House::begin_stop(const std::string& why) {
    if (phase_ != Phase::running) return;
    const config::Shutdown& shutdown = config_->server.shutdown;
    phase_ = Phase::delaying;
    reload_.give_up();
    upgrade_.give_up();
    proxy_.abandon("it is stopping");
    log_.info("stopping",
              fmt::format("stopping ({}): {} ms delay, then at most {} ms", why, shutdown.delay.count(),
                          shutdown.grace_period.count()),
              {{"signal", why}});
    notifier_.stopping(fmt::format("stopping ({})", why));
    close_at_ = now() + shutdown.delay;
    deadline_ = close_at_ + shutdown.grace_period;
    // A short grace period is shared, so that neither half is left without time.
    drain_until_ = deadline_ - std::min(reserve, shutdown.grace_period / 2);
    force_timer_.expires_at(deadline_);
    force_timer_.async_wait([this](boost::system::error_code error) {
        if (!error) force("the grace period ran out");
    });
    if (!proxy_.is_ready()) return close_listeners();
    proxy_.send(control::DrainAll{shutdown.delay, std::chrono::duration_cast<milliseconds>(drain_until_ - close_at_)});
    after(shutdown.delay, &House::close_listeners);
}

void House::close_listeners() {
    if (phase_ != Phase::delaying) return;
    phase_ = Phase::draining;
    unlink_paths(resources_.sockets);
    resources_.sockets.clear();
    close_leaving();
    proxy_.keep_down();
    if (!proxy_.is_ready()) return stop_workers();
    proxy_.send(control::ListenersClosed{});
    after(until(drain_until_) + late, &House::drain_overdue);
}

void House::drain_overdue() {
    log_.warn("drain_overdue", "the proxy has not drained in time");
    ++left_over_;
    stop_workers();
}

void House::stop_workers() {
    if (phase_ != Phase::delaying && phase_ != Phase::draining) return;
    phase_ = Phase::stopping;
    phase_timer_.cancel();
    fleet_.stop();
    leave_if_empty();
}

void House::leave_if_empty() {
    if (phase_ != Phase::stopping) return;
    if (!fleet_.is_empty() || (takes_leave_ && proxy_.is_ready() && !drained_)) return;
    phase_ = Phase::leaving;
    proxy_.finish();
}

void House::force(const std::string& why) {
    if (phase_ == Phase::over) return;
    log_.warn("forced_end", why + ": everything is ended at once");
    if (exit_code_ == ExitCode::done) exit_code_ = ExitCode::forced;
    proxy_.keep_down();
    if (phase_ != Phase::leaving) phase_ = Phase::stopping;
    proxy_.kill();
    fleet_.kill();
    leave_if_empty();
    give_up_later();
}

// After KILL nothing should be left to wait for; what is (a process stuck in the kernel) is not waited for.
void House::give_up_later() {
    constexpr milliseconds last_wait{5000};
    force_timer_.expires_after(last_wait);
    force_timer_.async_wait([this](boost::system::error_code error) {
        if (!error) loop_.stop();
    });
}

void House::fail(int code, const std::string& why) {
    if (exit_code_ != ExitCode::done) return;  // the first failure is the one that is told
    log_.error("failed", why);
    exit_code_ = code;
    // From the loop, since this may be told in the middle of a crew's or the proxy's work.
    boost::asio::post(loop_, [this] {
        proxy_.keep_down();
        if (phase_ == Phase::over || phase_ == Phase::leaving) return;
        phase_ = Phase::stopping;
        // An end in order: it takes the end of its channel for the death of its master, unless it has drained.
        takes_leave_ = true;
        proxy_.send(control::DrainAll{});
        proxy_.send(control::ListenersClosed{});
        fleet_.kill();
        leave_if_empty();
        give_up_later();
    });
}

// Processes that left their worker's group, with their children. Nobody else will end them.
void House::end_adopted() {
    constexpr int rounds = 100, pause_ms = 20;
    for (int round = 0; round < rounds; ++round) {
        std::ifstream children(fmt::format("/proc/self/task/{}/children", ::getpid()));
        bool found = false;
        for (pid_t child = 0; children >> child;) {
            if (child == guard_.pid()) continue;
            found = true;
            ::kill(child, SIGKILL);
        }
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        if (!found) return;
        ::poll(nullptr, 0, pause_ms);
    }
}

}  // namespace edgeproxy::master
