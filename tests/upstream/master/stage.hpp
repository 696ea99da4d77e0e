// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "support.hpp"

namespace edgeproxy::master {

/// A whole master in a child process, with the fake proxy, on a plan that a test writes. Its journal (what the proxy
/// heard) and its log are files. Whatever is left at the end is killed.
class Stage {
 public:
    explicit Stage(std::vector<std::string> proxy_words = {});
    ~Stage();

    /// The plan: one listener on 127.0.0.1:0 and no pool, to be completed before `start`.
    config::Config config;
    /// A pool whose workers run this.
    config::Pool& add_pool(const std::string& name, std::vector<std::string> command, unsigned workers = 1);
    config::Pool& add_script(const std::string& name, const std::string& script, unsigned workers = 1);

    void start();
    int pid() const { return pid_; }
    void signal(int number) const;
    /// The exit code within `seconds`; empty when it is still running.
    std::optional<int> exit_code(double seconds = 20);

    /// Waits for a line of the journal or the log that holds this.
    bool heard(const std::string& words, double seconds = 15) const;
    bool logged(const std::string& words, double seconds = 15) const;
    std::string journal() const { return read_file(scratch.path("journal")); }
    std::string log() const { return read_file(scratch.path("log")); }
    /// Pid of the worker that the journal tells as `incarnation`; 0 when there is none.
    int worker(int incarnation) const;
    /// Pid of the proxy process that was started last.
    int proxy() const;
    /// Everything that descends from the master now.
    std::vector<int> descendants() const;

    Scratch scratch;

 private:
    std::vector<std::string> words_;
    int pid_ = -1;
    std::optional<int> code_;
};

/// Below `pid`, as /proc tells.
std::vector<int> descendants_of(int pid);
/// The program of the test environment's Python, or empty when it is not there.
std::string python_program(const std::string& name);

}  // namespace edgeproxy::master
