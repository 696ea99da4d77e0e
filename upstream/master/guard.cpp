// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/guard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
extern "C" {  // glibc 2.36 leaves it out
}
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "upstream/master/process.hpp"

namespace edgeproxy::master {
namespace {

using Clock = std::chrono::steady_clock;

struct Order {
    char kind = 0;  // '+' group, '-' group gone, 'p' proxy, 'q' proxy gone
    pid_t pid = 0;
};

struct Charges {
    std::set<pid_t> groups;
    std::map<pid_t, io::UniqueFd> proxies;
};

// Runs until the master is dead.
void listen_to_master(int pipe, Charges& charges) {
    Order order;
    ssize_t size = 0;
    while ((size = ::read(pipe, &order, sizeof(order))) == sizeof(order) || (size < 0 && errno == EINTR)) {
        if (size < 0) continue;
        if (order.kind == '+') charges.groups.insert(order.pid);
        if (order.kind == '-') charges.groups.erase(order.pid);
        if (order.kind == 'p') charges.proxies[order.pid] = open_pidfd(order.pid);
        if (order.kind == 'q') charges.proxies.erase(order.pid);
    }
}

int left_ms(Clock::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    return static_cast<int>(left > 0 ? left : 0);
}

void drop_ended(std::set<pid_t>& groups) {
    for (auto it = groups.begin(); it != groups.end();) {
        const bool ended = ::kill(-*it, 0) != 0 && errno == ESRCH;
        it = ended ? groups.erase(it) : std::next(it);
    }
}

constexpr int pause_ms = 20;

// The workers may end meanwhile, and the number of a group that has ended may be given to somebody else's: what is gone
// is crossed out at once, not when it is to be signalled.
void await_proxy(const io::UniqueFd& proxy, std::set<pid_t>& groups, Clock::time_point until) {
    pollfd wait{proxy.get(), POLLIN, 0};
    int ended = 0;
    while (ended <= 0 && left_ms(until) > 0) {
        ended = ::poll(&wait, 1, std::min(pause_ms, left_ms(until)));
        drop_ended(groups);
    }
}

void end_everything(Charges& charges, const GuardTimes& times) {
    const auto died = Clock::now();
    drop_ended(charges.groups);
    for (const auto& [pid, proxy] : charges.proxies) await_proxy(proxy, charges.groups, died + times.proxy);
    for (const pid_t group : charges.groups) ::kill(-group, SIGTERM);
    for (drop_ended(charges.groups); !charges.groups.empty() && left_ms(died + times.kill) > 0;
         drop_ended(charges.groups)) {
        ::poll(nullptr, 0, pause_ms);
    }
    for (const pid_t group : charges.groups) ::kill(-group, SIGKILL);
    for (const auto& [pid, proxy] : charges.proxies) send_signal(proxy, SIGKILL);  // nothing if it has ended
}

[[noreturn]] void run(int pipe, const GuardTimes& times) {
    ::setsid();
    ::prctl(PR_SET_NAME, "edgeproxy-guard");
    // Nothing of the master's may stay open here: listeners and locks would outlive it.
    const int low = ::dup2(pipe, 3);
    ::close_range(4, ~0u, 0);
    for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}) ::signal(number, SIG_IGN);
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // The terminal must not look occupied after the master's end.
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && null >= 0; ++fd) ::dup2(null, fd);
    Charges charges;
    listen_to_master(low, charges);
    end_everything(charges, times);
    ::_exit(0);
}

}  // namespace

bool Guard::start(GuardTimes times) {
    pid_ = -1;  // the number of the one before may be somebody else's by now
    pipe_.reset();
    times_ = times;
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    io::UniqueFd theirs(ends[0]);
    pipe_.reset(ends[1]);
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    pid_ = ::fork();
    if (pid_ == 0) run(theirs.get(), times_);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid_ < 0) pipe_.reset();  // so that nobody is told, and nobody is signalled for not reading
    return pid_ > 0;
}

void Guard::add(pid_t group) {
    groups_.insert(group);
    tell('+', group);
}

void Guard::remove(pid_t group) {
    if (groups_.erase(group) > 0) tell('-', group);
}

void Guard::proxy(pid_t pid, bool lives) {
    if (lives) {
        proxies_.insert(pid);
    } else {
        proxies_.erase(pid);
    }
    tell(lives ? 'p' : 'q', pid);
}

void Guard::tell(char kind, pid_t pid) {
    if (!pipe_) return;
    const Order order{kind, pid};
    // A guard that does not read is stopped by somebody; without it only the death signal is left, so make it a dead
    // one.
    if (::write(pipe_.get(), &order, sizeof(order)) < 0 && errno == EAGAIN) ::kill(pid_, SIGKILL);
}

bool Guard::restart() {
    if (!start(times_)) return false;
    for (const pid_t group : groups_) tell('+', group);
    for (const pid_t proxy : proxies_) tell('p', proxy);
    return true;
}

void Guard::adopt(pid_t pid, io::UniqueFd pipe) {
    pid_ = pid;
    pipe_ = std::move(pipe);
}

// The old one goes last, since its end of file would end everything; it is reaped like any child.
bool Guard::replace() {
    const pid_t before = std::exchange(pid_, -1);
    io::UniqueFd pipe = std::move(pipe_);
    if (!restart()) {
        pid_ = before;
        pipe_ = std::move(pipe);
        return false;
    }
    if (before > 0) ::kill(before, SIGKILL);
    return true;
}

void Guard::stop() {
    pipe_.reset();
    if (pid_ <= 0) return;
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

}  // namespace edgeproxy::master
