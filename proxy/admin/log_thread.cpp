// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_thread.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace edgeproxy::admin {

namespace {

constexpr std::chrono::milliseconds until_woken{-1};

void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

LogThread::Wakeup::Wakeup() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!fd) throw std::system_error(errno, std::generic_category(), "eventfd");
}

void LogThread::Wakeup::ring() const {
    const std::uint64_t one = 1;
    // Fails only when it is rung already.
    [[maybe_unused]] const ssize_t written = ::write(fd.get(), &one, sizeof one);
}

void LogThread::Wakeup::quiet() const {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd.get(), &rings, sizeof rings);
}

LogThread::LogThread(config::Log& log, AccessLog* access, LogWriter& writer) : access_(access), writer_(writer) {
    log.on_records([wakeup = wakeup_] { wakeup->ring(); });
    if (access_ != nullptr) access_->on_records([wakeup = wakeup_] { wakeup->ring(); });
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

LogThread::~LogThread() {
    thread_.request_stop();
    wake();
}

void LogThread::run(const std::stop_token& stop) {
    block_signals();
    ::pthread_setname_np(::pthread_self(), "log");
    while (!stop.stop_requested()) {
        wakeup_->quiet();
        if (writer_.turn() != 0) {
            writer_.wait(wakeup_->fd.get(), gather);
        } else if (access_ == nullptr || access_->sleep()) {
            writer_.wait(wakeup_->fd.get(), until_woken);
        }
    }
    writer_.finish(longest_finish);
}

}  // namespace edgeproxy::admin
