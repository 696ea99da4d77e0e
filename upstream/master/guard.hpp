// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <chrono>
#include <set>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// How long the guard waits once the master is dead.
struct GuardTimes {
    std::chrono::milliseconds proxy{8000};  ///< the proxy may finish what it has
    std::chrono::milliseconds kill{10000};  ///< everything that is left is killed
};

/// A process of our own that survives the master's violent death and then ends what the master had started.
///
/// It holds the read end of a pipe whose other end only the master has, and the list of process groups. At the end of
/// file it lets the proxy drain, sends TERM to the groups, later KILL, and ends. An orderly stop empties the list
/// first, so it just ends. Forked without exec: fork only from a single-threaded process. If the guard itself dies,
/// `restart`.
class Guard {
 public:
    Guard() = default;
    ~Guard() { stop(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    /// False when the fork failed (errno).
    bool start(GuardTimes times = {});
    pid_t pid() const { return pid_; }

    /// A worker's process group to end with us.
    void add(pid_t group);
    void remove(pid_t group);
    /// A proxy process, which ends by itself when its channel does, was started or has ended.
    void proxy(pid_t pid, bool lives);

    /// It died (the caller has reaped it): another one, told everything again.
    bool restart();
    /// The guard that an earlier program in our process had started. `pipe` as `pipe()` told it.
    void adopt(pid_t pid, io::UniqueFd pipe);
    /// Another one of this program in its place, told everything. False when there is still the old one.
    bool replace();
    int pipe() const { return pipe_.get(); }
    /// Lets it end and reaps it.
    void stop();

 private:
    void tell(char kind, pid_t pid);

    GuardTimes times_;
    pid_t pid_ = -1;
    io::UniqueFd pipe_;
    std::set<pid_t> groups_;
    std::set<pid_t> proxies_;
};

}  // namespace edgeproxy::master
