// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "config/config.hpp"
#include "config/log.hpp"
#include "proxy/admin/access_log.hpp"
#include "proxy/admin/log_output.hpp"
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
/// Without a thread of its own: call `turn` whenever records came (the master does so from its loop). With one:
/// LogThread.
///
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

    /// Lines lost since the start, in rings and outputs: `edgeproxy_log_messages_dropped_total`.
    std::uint64_t log_dropped() const;
    std::uint64_t access_dropped() const;

 private:
    struct Plan;
    void adopt();
    void take_log();
    void take_access();

    config::Log& log_;
    AccessLog* const access_;
    std::mutex mutex_;
    std::unique_ptr<Plan> next_;  ///< under the mutex
    std::unique_ptr<Plan> plan_;
    std::atomic<std::uint64_t> log_lost_{0}, access_lost_{0};
};

/// A thread that runs a LogWriter: sleeps until records come, gathers for `gather` while there is traffic so that lines
/// leave in big writes, and lets nothing wait longer than 100 ms.
class LogThread {
 public:
    static constexpr std::chrono::milliseconds gather{20};
    static constexpr std::chrono::milliseconds longest_finish{2000};

    /// Hooks itself into `log.on_records` and `access->on_records`: make it before other threads log.
    LogThread(config::Log& log, AccessLog* access, LogWriter& writer);
    LogThread(const LogThread&) = delete;
    LogThread& operator=(const LogThread&) = delete;
    /// Writes what is left, for at most `longest_finish`, and ends the thread.
    ~LogThread();

    /// From any thread: look at once.
    void wake();

 private:
    void run(const std::stop_token& stop);

    LogWriter& writer_;
    AccessLog* const access_;
    io::UniqueFd wakeup_;
    std::jthread thread_;
};

}  // namespace edgeproxy::admin
