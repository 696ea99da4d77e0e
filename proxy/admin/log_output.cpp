// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

namespace edgeproxy::admin {
namespace {

constexpr mode_t file_mode = 0640;

/// A descriptor that was connected to the journal is named by device and inode in JOURNAL_STREAM (systemd.exec(5)).
bool is_journal_stream(std::uint64_t device, std::uint64_t inode) {
    const char* const stream = std::getenv("JOURNAL_STREAM");
    return stream != nullptr && std::to_string(device) + ":" + std::to_string(inode) == stream;
}

std::size_t lines_in(std::string_view text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

LogOutput::LogOutput(io::UniqueFd fd) : fd_(std::move(fd)) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) == 0) {
        device_ = status.st_dev;
        inode_ = status.st_ino;
        socket_ = S_ISSOCK(status.st_mode);
        regular_ = S_ISREG(status.st_mode);
    }
    terminal_ = ::isatty(fd_.get()) == 1;
    journal_ = is_journal_stream(device_, inode_);
}

LogOutput::~LogOutput() {
    if (fd_.get() <= STDERR_FILENO) fd_.release();
}

io::UniqueFd LogOutput::open(const std::string& path) {
    return io::UniqueFd{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, file_mode)};
}

void LogOutput::add(std::string_view line) {
    if (buffer_.size() + line.size() + 1 > capacity) {
        ++dropped_;
        return;
    }
    if (broken_) {
        buffer_.push_back('\n');
        broken_ = mid_line_ = false;
    }
    buffer_.append(line);
    ++lines_;
    if (buffer_.size() >= big_write && !full_) flush();
}

void LogOutput::flush() {
    full_ = false;
    std::size_t written = 0;
    while (written < buffer_.size()) {
        const long result = write_some(std::string_view(buffer_).substr(written));
        if (result > 0) {
            written += static_cast<std::size_t>(result);
            error_ = 0;
            continue;
        }
        if (!would_block(static_cast<int>(-result))) {
            if (written > 0) mid_line_ = buffer_[written - 1] != '\n';
            lines_ -= std::min(lines_, lines_in(std::string_view(buffer_).substr(0, written)));
            return fail(static_cast<int>(-result));
        }
        full_ = true;
        break;
    }
    if (written == 0) return;
    mid_line_ = buffer_[written - 1] != '\n';
    lines_ -= std::min(lines_, lines_in(std::string_view(buffer_).substr(0, written)));
    buffer_.erase(0, written);
}

void LogOutput::give_up() {
    dropped_ += lines_;
    lines_ = 0;
    buffer_.clear();
    broken_ = mid_line_;
}

/// Bytes written, or minus errno; never 0. Never waits, although the descriptor may be a blocking one.
long LogOutput::write_some(std::string_view bytes) {
    const auto outcome = [](ssize_t result) -> long { return result > 0 ? result : result == 0 ? -EIO : -errno; };
    if (socket_) return outcome(::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    if (regular_) return outcome(::write(fd_.get(), bytes.data(), bytes.size()));
    if (nowait_) {
        const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        const long result = outcome(::pwritev2(fd_.get(), &piece, 1, -1, RWF_NOWAIT));
        if (result != -EOPNOTSUPP) return result;
        nowait_ = false;
    }
    // A pipe or terminal that is writable takes this much without waiting.
    pollfd poll{fd_.get(), POLLOUT, 0};
    if (::poll(&poll, 1, 0) != 1) return -EAGAIN;
    return outcome(::write(fd_.get(), bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF)));
}

void LogOutput::fail(int error) {
    error_ = error;
    give_up();
}

}  // namespace edgeproxy::admin
