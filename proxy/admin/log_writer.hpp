// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>

#include "config/config.hpp"
#include "config/log.hpp"
#include "proxy/admin/access_log.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::admin {

/// Descriptors that somebody opened for us (message LogFiles). Absent: standard error or output, as the configuration
/// says, else the configured path is opened here.
struct LogDescriptors {
    io::UniqueFd log, access;
};

/// Takes records out of the log and out of the access rings, formats them and writes whole lines. Never blocks whoever
/// logs: what an output does not take (full disk, gone reader, a pipe that nobody empties) is dropped and counted.
///
/// It has no thread: call `turn` whenever records came, or give it to a LogThread.
///
/// REQUIRES: SIGPIPE is ignored, or blocked in the thread that calls `turn`.
/// thread  `turn`, `finish`: one at a time; `configure`, `dropped...`: any
class LogWriter {
 public:
    /// `access` may be null. Both must outlive the writer.
    LogWriter(config::Log& log, AccessLog* access, const config::Logging& logging, LogDescriptors descriptors);
    ~LogWriter();
    LogWriter(const LogWriter&) = delete;
    LogWriter& operator=(const LogWriter&) = delete;

    /// Another configuration or reopened files, from the next turn on. What was written before goes to the old ones.
    void configure(const config::Logging& logging, LogDescriptors descriptors);

    /// Moves everything that waits to the outputs, without waiting for them. Returns how many records there were.
    std::size_t turn();
    /// Something is written but not taken by its output yet.
    bool pending() const;
    /// Waits until an output takes more, `wakeup` (a descriptor, or -1) is readable, or `longest` is over.
    void wait(int wakeup, std::chrono::milliseconds longest);
    /// The last turns: until everything is out or `longest` is over; what is left then is counted as dropped.
    void finish(std::chrono::milliseconds longest);

    /// Lines lost since the start, in rings and outputs: `edgeproxy_log_messages_dropped_total`. Where both go to the
    /// same place, what that place lost counts as the log's.
    std::uint64_t log_dropped() const;
    std::uint64_t access_dropped() const;

 private:
    struct Plan;
    void adopt();
    std::size_t take_log();
    std::size_t take_access();
    void report_failure();
    void count_lost();

    config::Log& log_;
    AccessLog* const access_;
    std::mutex mutex_;
    std::unique_ptr<Plan> next_;  ///< under the mutex
    std::unique_ptr<Plan> plan_;
    std::uint64_t log_before_ = 0, access_before_ = 0;  ///< lost by outputs that were replaced
    std::atomic<std::uint64_t> log_lost_{0}, access_lost_{0};
};

}  // namespace edgeproxy::admin
