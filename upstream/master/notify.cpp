// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "upstream/master/environment.hpp"

namespace edgeproxy::master {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find_first_of(std::string_view("\n\r\0", 3)));
}

std::string with_status(std::string message, std::string_view status) {
    if (!first_line(status).empty()) message += "STATUS=" + std::string(first_line(status)) + "\n";
    return message;
}

bool is_address(std::string_view name) {
    sockaddr_un address{};
    return name.size() > 1 && name.size() < sizeof(address.sun_path) && (name[0] == '/' || name[0] == '@');
}

microseconds monotonic_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::chrono::seconds(now.tv_sec) +
           std::chrono::duration_cast<microseconds>(std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

ServiceManager ServiceManager::of(const std::vector<std::string>& environment, int pid) {
    ServiceManager out;
    const std::string_view socket = value_of(environment, "NOTIFY_SOCKET");
    if (is_address(socket)) out.socket = socket;
    const auto length = whole_number<std::int64_t>(value_of(environment, "WATCHDOG_USEC"));
    const std::string_view whose = value_of(environment, "WATCHDOG_PID");
    const bool ours = whose.empty() || whole_number<int>(whose) == pid;
    if (length && *length > 0 && ours) out.watchdog = microseconds(*length);
    return out;
}

std::string ready_message(std::string_view status) {
    return with_status("READY=1\n", status);
}

std::string reloading_message(microseconds now) {
    return "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()) + "\n";
}

std::string stopping_message(std::string_view status) {
    return with_status("STOPPING=1\n", status);
}

std::string status_message(std::string_view status) {
    return with_status("", status);
}

Notifier::Notifier(boost::asio::io_context& loop, ServiceManager manager) : manager_(std::move(manager)), timer_(loop) {
    if (manager_.socket.empty()) return;
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (pulse()) beat();
}

void Notifier::ready(std::string_view status) {
    last_status_ = status;
    send(ready_message(status));
}

void Notifier::reloading() {
    send(reloading_message(monotonic_now()));
}

void Notifier::reloaded() {
    send(ready_message(last_status_));
}

void Notifier::stopping(std::string_view status) {
    last_status_ = status;
    send(stopping_message(status));
}

void Notifier::status(std::string_view status) {
    if (status == last_status_) return;
    last_status_ = status;
    send(status_message(status));
}

std::optional<milliseconds> Notifier::pulse() const {
    if (!socket_ || !manager_.watchdog) return std::nullopt;
    return std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(*manager_.watchdog / 2));
}

void Notifier::send(std::string_view message) {
    if (!socket_) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    manager_.socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    // An abstract name is exactly as long as said: no zero behind it.
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + manager_.socket.size());
    [[maybe_unused]] const ssize_t sent = ::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                                                   reinterpret_cast<const sockaddr*>(&address), size);
}

void Notifier::beat() {
    send("WATCHDOG=1\n");
    timer_.expires_after(*pulse());
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) beat();
    });
}

}  // namespace edgeproxy::master
