// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/channel.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace edgeproxy::control {
namespace {

constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

boost::system::error_code last_error() {
    return {errno, boost::system::system_category()};
}

// Room for the descriptors of one record.
struct FdBuffer {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_fds)> bytes{};
};

// Takes what came with a record; also what is too much, so that it is closed.
std::vector<io::UniqueFd> take_fds(msghdr& header) {
    std::vector<io::UniqueFd> fds;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            fds.emplace_back(fd);
        }
    }
    return fds;
}

}  // namespace

Channel::Channel(io::UniqueFd socket) : socket_(std::move(socket)) {
    const int flags = fcntl(socket_.get(), F_GETFL);
    fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
    fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
}

Result<void> Channel::send(Message message) {
    if (!is_open()) return errc::closed;
    auto encoded = encode(std::move(message));
    if (!encoded) return encoded.error();
    if (queue_.size() >= max_queue || queued_bytes_ + encoded->bytes.size() > max_queue_bytes) return errc::overflow;
    queued_bytes_ += encoded->bytes.size();
    queue_.push_back(std::move(*encoded));
    return flush();
}

Result<void> Channel::flush() {
    if (!is_open()) return errc::closed;
    while (!queue_.empty()) {
        const Result<void> sent = send_now(queue_.front());
        if (sent.has_error()) {
            const auto& error = sent.error();
            // ETOOMANYREFS: too many descriptors under way; they become fewer when the other end reads.
            if (error == std::errc::resource_unavailable_try_again || error.value() == ETOOMANYREFS) return {};
            return errc::closed;
        }
        queued_bytes_ -= queue_.front().bytes.size();
        queue_.pop_front();
    }
    return {};
}

Result<void> Channel::send_now(const Encoded& encoded) {
    iovec part{const_cast<char*>(encoded.bytes.data()), encoded.bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    FdBuffer buffer;
    if (!encoded.fds.empty()) {
        header.msg_control = buffer.bytes.data();
        header.msg_controllen = CMSG_SPACE(sizeof(int) * encoded.fds.size());
        cmsghdr* c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * encoded.fds.size());
        for (std::size_t i = 0; i < encoded.fds.size(); ++i) {
            const int fd = encoded.fds[i].get();
            std::memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
        }
    }
    while (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) return last_error();
    }
    return {};
}

Result<std::optional<Message>> Channel::receive() {
    if (!is_open()) return errc::closed;
    if (received_.empty()) received_.resize(max_message + 1);
    FdBuffer buffer;
    iovec part{received_.data(), received_.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = buffer.bytes.data();
    header.msg_controllen = buffer.bytes.size();
    ssize_t size = 0;
    do {
        size = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Message>{};
    if (size <= 0) return errc::closed;
    std::vector<io::UniqueFd> fds = take_fds(header);
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return errc::malformed;
    auto message = decode({received_.data(), static_cast<std::size_t>(size)}, std::move(fds));
    if (!message) return message.error();
    return std::optional<Message>(std::move(*message));
}

void Channel::close() {
    socket_.reset();
    queue_.clear();
    queued_bytes_ = 0;
}

Result<std::pair<Channel, io::UniqueFd>> make_pair() {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return last_error();
    return std::pair<Channel, io::UniqueFd>(Channel(io::UniqueFd(ends[0])), io::UniqueFd(ends[1]));
}

Result<io::UniqueFd> make_sealed(const char* name, std::span<const char> bytes) {
    io::UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return last_error();
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
        if (n < 0) return last_error();
        done += static_cast<std::size_t>(n);
    }
    if (::fcntl(fd.get(), F_ADD_SEALS, all_seals) != 0) return last_error();
    return fd;
}

Result<std::string> read_sealed(const io::UniqueFd& fd, std::size_t limit) {
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0 || (seals & all_seals) != all_seals) return errc::malformed;
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return last_error();
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size > limit) return errc::too_large;
    std::string text(size, '\0');
    for (std::size_t done = 0; done < size;) {
        const ssize_t n = ::pread(fd.get(), text.data() + done, size - done, static_cast<off_t>(done));
        if (n < 0) return last_error();
        if (n == 0) return errc::malformed;
        done += static_cast<std::size_t>(n);
    }
    return text;
}

}  // namespace edgeproxy::control
