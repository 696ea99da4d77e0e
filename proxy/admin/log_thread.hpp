// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <memory>
#include <thread>

#include "config/log.hpp"
#include "proxy/admin/access_log.hpp"
#include "proxy/admin/log_writer.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::admin {

/// A thread that runs a LogWriter: sleeps until records come, gathers for `gather` while there is traffic so that lines
/// leave in big writes. All signals are blocked in it.
class LogThread {
 public:
    static constexpr std::chrono::milliseconds gather{20};  ///< the longest that a line waits for company
    static constexpr std::chrono::milliseconds longest_finish{2000};

    /// Hooks itself into `log.on_records` and `access->on_records`: make it before other threads log. `access` may be
    /// null; all three outlive the thread.
    LogThread(config::Log& log, AccessLog* access, LogWriter& writer);
    LogThread(const LogThread&) = delete;
    LogThread& operator=(const LogThread&) = delete;
    /// Writes what is left, for at most `longest_finish`, and ends the thread. Who logs later logs in vain.
    ~LogThread();

    /// From any thread: look at once (after `LogWriter::configure`).
    void wake() { wakeup_->ring(); }

 private:
    /// Shared with the hooks, which may be called after the thread ended.
    struct Wakeup {
        Wakeup();
        void ring() const;
        void quiet() const;
        io::UniqueFd fd;
    };
    void run(const std::stop_token& stop);

    AccessLog* const access_;
    LogWriter& writer_;
    std::shared_ptr<Wakeup> wakeup_ = std::make_shared<Wakeup>();
    std::jthread thread_;
};

}  // namespace edgeproxy::admin
