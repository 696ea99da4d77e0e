// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// `runtime_dir` while we run: the lock that makes us the only master on it, and below it a directory of this run's
/// own.
///
///   <runtime_dir>/lock          flocked, holds our pid and what we run (control/holder.hpp)
///   <runtime_dir>/control.sock  the control socket
///   <runtime_dir>/<pid>/        this run: sockets of the workers; removed at the end
///
/// Directories of runs that are dead are removed when the lock is taken.
class RuntimeDir {
 public:
    /// Bytes that a path in it needs beyond the length of `runtime_dir`.
    static constexpr std::size_t path_reserve = 32;

    /// Takes it, makes it where it is missing. Null on failure, with the reason in `error` (one sentence; names the pid
    /// of the master that holds it). `shared`: other users (proxy, workers) must get to their sockets, so they may pass
    /// through. `runs`: what we are called with, as in Holder.
    static std::unique_ptr<RuntimeDir> take(const std::string& path, bool shared, const std::string& runs,
                                            std::string& error);
    /// The one that an earlier program in our process had taken. Says what we run, where that one did not.
    static std::unique_ptr<RuntimeDir> adopt(std::string path, io::UniqueFd lock, const std::string& runs);
    int lock() const { return lock_.get(); }
    ~RuntimeDir();
    RuntimeDir(const RuntimeDir&) = delete;
    RuntimeDir& operator=(const RuntimeDir&) = delete;

    /// The directory of this run, absolute.
    const std::string& path() const { return path_; }
    /// It may be removed under us, by hand or by whoever cleans up below /run or /tmp.
    bool is_there() const;
    /// Makes the levels of it that are missing, with the modes of before. False with one sentence in `error`.
    bool restore(std::string& error) const;
    /// Where the control socket belongs. Whatever is there is of a dead run, since we hold the lock.
    std::string control_path() const;

 private:
    RuntimeDir(std::string path, io::UniqueFd lock, unsigned mode)
        : path_(std::move(path)), lock_(std::move(lock)), mode_(mode) {}

    std::string path_;
    io::UniqueFd lock_;
    unsigned mode_;  // of `runtime_dir` and of ours below it
};

}  // namespace edgeproxy::master
