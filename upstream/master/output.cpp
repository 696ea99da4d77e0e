// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace edgeproxy::master {
namespace {

bool takes_now(int fd) {
    pollfd ask{fd, POLLOUT, 0};
    return ::poll(&ask, 1, 0) == 1 && (ask.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
}

}  // namespace

void Output::write(std::string_view text) {
    if (waiting_.size() + text.size() > capacity && !flush() && waiting_.size() + text.size() > capacity) {
        return drop(text);
    }
    waiting_ += text;
    flush();
}

bool Output::flush() {
    std::size_t done = 0;
    while (done < waiting_.size() && takes_now(fd_.get())) {
        const ssize_t n = ::write(fd_.get(), waiting_.data() + done, std::min(piece, waiting_.size() - done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;  // somebody else made it non-blocking
        if (n < 0) {                          // the reader is gone or the disk is full: nothing here can mend that
            drop(std::string_view(waiting_).substr(done));
            waiting_.clear();
            return true;
        }
        done += static_cast<std::size_t>(n);
    }
    takes_again_ = takes_again_ || (done > 0 && done == waiting_.size());
    waiting_.erase(0, done);
    return waiting_.empty();
}

void Output::drop(std::string_view text) {
    const bool whole = text.empty() || text.back() == '\n';
    dropped_ += static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) + (whole ? 0 : 1);
    takes_again_ = false;
}

std::uint64_t Output::take_lost() {
    return takes_again_ ? dropped_ - std::exchange(told_, dropped_) : 0;
}

void Output::finish() {
    constexpr int rounds = 50, pause_ms = 20;
    for (int round = 0; round < rounds && !flush(); ++round) ::poll(nullptr, 0, pause_ms);
}

bool Output::wants_json(config::LogFormat format) const {
    if (format == config::LogFormat::automatic) return ::isatty(fd_.get()) == 0;
    return format == config::LogFormat::json;
}

void Output::reopen(io::UniqueFd fd) {
    flush();
    fd_ = std::move(fd);
}

}  // namespace edgeproxy::master
