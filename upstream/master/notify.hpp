// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// What a service manager put into our environment about itself (systemd's sd_notify and watchdog protocols).
struct ServiceManager {
    std::string socket;                                 ///< NOTIFY_SOCKET: a path, or `@name` of the abstract namespace
    std::optional<std::chrono::microseconds> watchdog;  ///< WATCHDOG_USEC, if WATCHDOG_PID is us or absent
    bool operator==(const ServiceManager&) const = default;

    /// From "NAME=value" entries. What is malformed counts as absent. Pure.
    static ServiceManager of(const std::vector<std::string>& environment, int pid);
};

// The messages, as they travel. A status is one line: what ends it is cut off.

std::string ready_message(std::string_view status);
/// `now`: CLOCK_MONOTONIC, which lets `Type=notify-reload` tell this reload from an earlier one.
std::string reloading_message(std::chrono::microseconds now);
std::string stopping_message(std::string_view status);
std::string status_message(std::string_view status);

/// Tells the service manager how we are. Without one every call does nothing, so callers need not ask.
///
/// Datagrams, never waited for: what the manager's queue does not take is lost (a later status replaces it; the
/// watchdog has a second chance before its time is over). WATCHDOG=1 goes out each half of its time from the loop's
/// timer, so a loop that stands still is noticed. Runs on the loop's thread.
class Notifier {
 public:
    Notifier(boost::asio::io_context& loop, ServiceManager manager);

    /// Serving. Also the end of a reload.
    void ready(std::string_view status);
    void reloading();
    /// The end of it: ready again, with the status of before.
    void reloaded();
    void stopping(std::string_view status);
    /// Sent when it differs from the last one.
    void status(std::string_view status);

    /// The pause between two signs of life; empty when nobody wants them.
    std::optional<std::chrono::milliseconds> pulse() const;

 private:
    void send(std::string_view message);
    void beat();

    ServiceManager manager_;
    io::UniqueFd socket_;
    boost::asio::steady_timer timer_;
    std::string last_status_;
};

}  // namespace edgeproxy::master
