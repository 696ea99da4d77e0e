// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// What reading the configuration file came to.
struct Checked {
    std::shared_ptr<const config::Config> config;  ///< null: it has errors
    std::string problems;                          ///< errors and warnings for people; may be empty
};

/// Reads and judges the configuration file in a child process: whatever the file makes us do (look up users, read
/// certificates, take minutes) is not done by the master, and a crash of the reader is a refusal. The plan comes back
/// in its canonical long form, variables expanded once.
class CheckChild {
 public:
    static constexpr std::size_t largest = 16 * 1024 * 1024;  ///< bytes of plan and problems

    /// Forks; `load` runs in the child. False (errno) when that failed. One at a time.
    bool start(const std::function<Checked()>& load);
    pid_t pid() const { return pid_; }
    bool runs() const { return pid_ > 0; }
    /// It takes too long.
    void kill() const;

    /// The reaper's word. Empty when `pid` is not ours.
    std::optional<Checked> on_exit(pid_t pid, int status);

 private:
    pid_t pid_ = -1;
    io::UniqueFd result_;
};

}  // namespace edgeproxy::master
