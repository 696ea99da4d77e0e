// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/proxy_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "upstream/master/time.hpp"
#include "upstream/master/usage.hpp"

namespace edgeproxy::master {

milliseconds ProxyBackoff::on_end(milliseconds ready_for) {
    constexpr milliseconds forgiven{60000}, first{100}, longest{5000};
    if (ready_for >= forgiven) in_a_row_ = 0;
    const unsigned before = in_a_row_++;
    if (before == 0) return milliseconds(0);
    return std::min(longest, first * (1u << std::min(before - 1, 10u)));
}

ProxyProcess::ProxyProcess(boost::asio::io_context& loop, config::Log& log, ProcessRequest request, Events events,
                           std::uint64_t epochs)
    : loop_(loop),
      log_(log),
      request_(std::move(request)),
      events_(std::move(events)),
      ping_timer_(loop),
      start_timer_(loop),
      epoch_(epochs) {}

bool ProxyProcess::start() {
    auto pair = control::make_pair();
    if (!pair) {
        log_.error("proxy_start_failed", fmt::format("cannot make the control channel: {}", pair.error().message()));
        return false;
    }
    request_.pass = {pair->second.get()};
    StartFailure failure;
    auto process = start_process(request_, failure);
    if (!process) {
        log_.error("proxy_start_failed", fmt::format("cannot start the proxy process: {}", failure.text(request_)));
        return false;
    }
    process_ = std::move(*process);
    channel_ = std::move(pair->first);
    ++epoch_;
    last_word_ = now();
    flushing_ = false;
    log_.info("proxy_started", fmt::format("proxy process started, pid {}", process_.pid),
              {{"pid", process_.pid}, {"epoch", epoch_}});
    attach();
    events_.greet(*this);
    return true;
}

void ProxyProcess::adopt(const Memory& memory) {
    process_ = {memory.pid, open_pidfd(memory.pid)};
    channel_ = control::Channel(io::UniqueFd(memory.channel));
    epoch_ = memory.epoch;
    last_word_ = now();
    ready_since_ = memory.ready_since;
    ever_ready_ = true;
    attach();
}

ProxyProcess::Memory ProxyProcess::memory() const {
    return {process_.pid, channel_.fd(), epoch_, ready_since_.value_or(TimePoint{})};
}

void ProxyProcess::attach() {
    events_.lives(process_.pid, true);
    // A descriptor of its own to wait on, so that the channel keeps owning its.
    const int waited = ::fcntl(channel_.fd(), F_DUPFD_CLOEXEC, 0);
    wait_ = std::make_unique<boost::asio::posix::stream_descriptor>(loop_, waited);
    watch();
    ping();
}

void ProxyProcess::watch() {
    wait_->async_wait(wait_->wait_read, [this, epoch = epoch_](boost::system::error_code error) {
        if (error || epoch != epoch_ || !channel_.is_open()) return;
        read_all();
        if (channel_.is_open()) watch();
    });
}

void ProxyProcess::read_all() {
    constexpr int batch = 64;  // then the loop turns, so that signals and log pipes get their share
    for (int i = 0; i < batch && channel_.is_open(); ++i) {
        auto message = channel_.receive();
        if (!message) return lose(message.error().message());
        if (!*message) return;
        last_word_ = now();
        handle(std::move(**message));
    }
}

void ProxyProcess::handle(control::Message message) {
    if (std::holds_alternative<control::Pong>(message)) return;
    if (std::holds_alternative<control::Ready>(message)) {
        if (is_ready()) return;
        ready_since_ = now();
        ever_ready_ = true;
        log_.info("proxy_ready", fmt::format("proxy process {} accepts", process_.pid), {{"pid", process_.pid}});
        return events_.changed(*this, true);
    }
    if (const auto* result = std::get_if<control::ConfigResult>(&message); result != nullptr && !result->ok) {
        refusal_ = result->error.empty() ? "no reason given" : result->error;
    }
    events_.heard(*this, std::move(message));
}

void ProxyProcess::send(control::Message message) {
    if (!channel_.is_open()) return;
    const char* what = control::name(message);
    if (const auto sent = channel_.send(std::move(message)); sent.has_error()) {
        if (sent.error() == control::errc::too_large) {
            log_.error("control_message_too_large", fmt::format("cannot tell the proxy: {} is too large", what));
            return;
        }
        return lose(sent.error().message());
    }
    flush_when_writable();
}

// What the kernel did not take at once goes out when it takes more.
void ProxyProcess::flush_when_writable() {
    if (flushing_ || !channel_.is_open() || !channel_.wants_write()) return;
    flushing_ = true;
    wait_->async_wait(wait_->wait_write, [this, epoch = epoch_](boost::system::error_code error) {
        if (error || epoch != epoch_) return;
        flushing_ = false;
        if (!channel_.is_open()) return;
        if (const auto sent = channel_.flush(); sent.has_error()) return lose(sent.error().message());
        flush_when_writable();
    });
}

void ProxyProcess::ping() {
    ping_timer_.expires_after(ping_interval);
    ping_timer_.async_wait([this, epoch = epoch_](boost::system::error_code error) {
        if (error || epoch != epoch_ || !channel_.is_open()) return;
        send(control::Ping{++ping_number_});
        if (!channel_.is_open()) return;
        if (now() - last_word_ > hung_after && !is_traced(process_.pid)) return lose("it does not answer");
        ping();
    });
}

// The channel is no use any more: so is the process.
void ProxyProcess::lose(const std::string& why) {
    if (!channel_.is_open()) return;
    channel_.close();
    wait_.reset();
    if (!finishing_)
        log_.warn("proxy_lost", fmt::format("proxy process {}: {}", process_.pid, why), {{"pid", process_.pid}});
    // Its last lines may still be under way to its log: a process that ended by itself is left to end.
    if (why != make_error_code(control::errc::closed).message()) return kill();
    start_timer_.expires_after(end_grace);
    start_timer_.async_wait([this, epoch = epoch_](boost::system::error_code error) {
        if (!error && epoch == epoch_) kill();
    });
}

bool ProxyProcess::on_exit(pid_t pid, int status) {
    if (pid != process_.pid) return false;
    const bool was_ready = is_ready();
    const milliseconds ready_for =
        was_ready ? std::chrono::duration_cast<milliseconds>(now() - *ready_since_) : milliseconds(0);
    if (channel_.is_open()) read_all();  // its last words
    channel_.close();
    wait_.reset();
    ping_timer_.cancel();
    start_timer_.cancel();
    process_ = {};
    ready_since_.reset();
    events_.lives(pid, false);
    const std::string how = describe_exit(status);
    if (finishing_ || keep_down_) {
        if (was_ready) events_.changed(*this, false);
        events_.ended(*this, how);
        return true;
    }
    if (!ever_ready_) {
        events_.ended(*this, how);
        return true;
    }
    const milliseconds wait = backoff_.on_end(ready_for);
    log_.error("proxy_exit", fmt::format("proxy process {} ended: {}; restarting in {} ms", pid, how, wait.count()),
               {{"pid", pid}, {"how", how}});
    if (was_ready) events_.changed(*this, false);
    restart_later(wait);
    return true;
}

void ProxyProcess::restart_later(milliseconds wait) {
    start_timer_.expires_after(wait);
    start_timer_.async_wait([this](boost::system::error_code error) {
        if (error || finishing_ || keep_down_ || is_alive()) return;
        if (!start()) restart_later(backoff_.on_end(milliseconds(0)));
    });
}

void ProxyProcess::finish() {
    finishing_ = true;
    start_timer_.cancel();
    if (!is_alive()) return events_.ended(*this, "not running");
    channel_.close();
    wait_.reset();
    start_timer_.expires_after(end_grace);
    start_timer_.async_wait([this](boost::system::error_code error) {
        if (!error) kill();
    });
}

void ProxyProcess::kill() {
    if (is_alive()) ::kill(process_.pid, SIGKILL);
}

}  // namespace edgeproxy::master
