// SPDX-License-Identifier: Apache-2.0
#include "tls/io/socket.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>

#include "tls/io/system_call.hpp"

namespace edgeproxy::io {
namespace {

/// A waiting write is looked at so many times within its stall: that is how exactly a stall is found.
constexpr int looks_per_stall = 16;

error_code system_error(int number) {
    return {number, boost::system::system_category()};
}

bool try_read(Operation& operation) noexcept {
    auto& op = static_cast<ReadOperation&>(operation);
    if (!op.socket->readable()) return false;
    const Socket::Raw got = op.socket->receive({op.data, op.size});
    op.transferred = got.bytes;
    op.error = got.error;
    return !got.again;
}

bool try_read_buffer(Operation& operation) noexcept {
    auto& op = static_cast<ReadOperation&>(operation);
    if (!op.socket->readable()) return false;
    return op.read_with_buffer(try_read);
}

bool try_readable(Operation& op) noexcept {
    return op.socket->readable();
}

bool try_write(Operation& operation) noexcept {
    auto& op = static_cast<WriteOperation&>(operation);
    while (op.first < op.pieces.size()) {
        std::size_t last = op.pieces.size();
        while (last > op.first + 1 && op.pieces[last - 1].iov_len == 0) --last;
        const Socket::Raw sent = op.socket->send(op.pieces.data() + op.first, last - op.first);
        op.consume(sent.bytes);
        if (sent.error) {
            op.error = sent.error;
            return true;
        }
        if (sent.again) return false;
    }
    return true;
}

bool try_splice_some(Operation& operation) noexcept {
    auto& op = static_cast<ReadOperation&>(operation);
    if (!op.socket->readable()) return false;
    Pipe& pipe = *static_cast<Pipe*>(op.owner);
    Reactor& reactor = op.socket->reactor();
    pipe = reactor.pipes().take(reactor.descriptor_ceiling());
    if (!pipe) return true;
    const Socket::Raw got = op.socket->receive(pipe, op.size);
    op.transferred = got.bytes;
    op.error = got.error;
    if (got.bytes == 0) pipe.release();
    return !got.again;
}

bool try_splice_all(Operation& op) noexcept {
    Pipe& pipe = *static_cast<Pipe*>(op.owner);
    while (pipe.held() > 0) {
        const Socket::Raw sent = op.socket->send(pipe);
        op.transferred += sent.bytes;
        op.error = sent.error;
        if (sent.error) return true;
        if (sent.again) return false;
    }
    return true;
}

bool try_connected(Operation& op) noexcept {
    if (!op.socket->writable()) return false;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(op.socket->fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) op.error = system_error(error);
    return true;
}

}  // namespace

bool ReadOperation::read_with_buffer(bool (&read)(Operation&) noexcept) noexcept {
    const std::size_t asked = size;
    const bool taken = !*buffer;
    try {
        BufferPool& pool = socket->reactor().buffers();
        if (taken) *buffer = asked == BufferPool::large ? pool.take_large() : pool.take_small();
    } catch (const std::bad_alloc&) {
        error = system_error(ENOMEM);
        return true;
    }
    data = buffer->data() + from;
    size = buffer->size() - from;
    const bool finished = read(*this);
    if (taken && transferred == 0) {
        buffer->release();
        size = asked;
    }
    return finished;
}

std::size_t WriteOperation::remaining() const {
    std::size_t sum = 0;
    for (std::size_t i = first; i < pieces.size(); ++i) sum += pieces[i].iov_len;
    return sum;
}

void WriteOperation::consume(std::size_t count) {
    transferred += count;
    while (first < pieces.size()) {
        iovec& piece = pieces[first];
        const std::size_t part = std::min(count, piece.iov_len);
        piece.iov_base = static_cast<char*>(piece.iov_base) + part;
        piece.iov_len -= part;
        count -= part;
        if (piece.iov_len > 0) return;
        ++first;
    }
}

Socket::Socket(Reactor& reactor, UniqueFd fd, bool connecting)
    : reactor_(reactor), fd_(std::move(fd)), writable_(!connecting) {
    if (reactor_.add(*this, fd_.get())) {
        // No room in the set (ENOSPC, ENOMEM): the socket is as good as closed, and says so at the first operation.
        fd_.reset();
        cancelled_ = true;
    }
}

Socket::~Socket() {
    assert(reader_ == nullptr && writer_ == nullptr);
    close();
}

Read Socket::read_some(std::span<char> into) {
    Read read;
    read.operation.attempt = try_read;
    read.operation.socket = this;
    read.operation.data = into.data();
    read.operation.size = into.size();
    return read;
}

Read Socket::read_some(Buffer& buffer, std::size_t from, std::size_t size) {
    Read read;
    read.operation.attempt = try_read_buffer;
    read.operation.socket = this;
    read.operation.size = size;
    read.operation.buffer = &buffer;
    read.operation.from = from;
    return read;
}

Read Socket::wait_readable() {
    Read read;
    read.operation.attempt = try_readable;
    read.operation.socket = this;
    return read;
}

Write Socket::write_all(std::span<const char> first, std::span<const char> second, std::span<const char> third) {
    Write write;
    write.operation.attempt = try_write;
    write.operation.socket = this;
    write.operation.pieces[0] = {const_cast<char*>(first.data()), first.size()};
    write.operation.pieces[1] = {const_cast<char*>(second.data()), second.size()};
    write.operation.pieces[2] = {const_cast<char*>(third.data()), third.size()};
    write.operation.consume(0);
    return write;
}

Read Socket::splice_some(Pipe& pipe, std::size_t most) {
    assert(!pipe);
    Read read;
    read.operation.attempt = try_splice_some;
    read.operation.socket = this;
    read.operation.owner = &pipe;
    read.operation.size = most;
    return read;
}

Write Socket::splice_all(Pipe& pipe) {
    Write write;
    write.operation.attempt = try_splice_all;
    write.operation.socket = this;
    write.operation.owner = &pipe;
    return write;
}

Write Socket::wait_connected(TimePoint deadline) {
    write_stall(deadline == never ? Duration::zero() : std::max<Duration>(deadline - reactor_.now(), Duration(1)));
    Write write;
    write.operation.attempt = try_connected;
    write.operation.socket = this;
    return write;
}

Socket::Raw Socket::receive(std::span<char> into) {
    for (;;) {
        const ssize_t got = system_call::recv(fd_.get(), into.data(), into.size(), 0);
        if (got > 0) {
            const auto bytes = static_cast<std::size_t>(got);
            // Short read: the kernel has no more. With a FIN waiting the next call is the one that sees it.
            if (bytes < into.size() && !peer_closed_) readable_ = false;
            return {.bytes = bytes};
        }
        if (got == 0) return {.error = errc::eof};
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            readable_ = false;
            return {.again = true};
        }
        return {.error = system_error(errno)};
    }
}

Socket::Raw Socket::receive(Pipe& into, std::size_t most) {
    for (;;) {
        const ssize_t got = ::splice(fd_.get(), nullptr, into.in(), nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (got > 0) {
            into.filled(static_cast<std::size_t>(got));
            return {.bytes = static_cast<std::size_t>(got)};
        }
        if (got == 0) return {.error = errc::eof};
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {  // the pipe was empty, so it is the socket that has nothing
            readable_ = false;
            return {.again = true};
        }
        if (errno == EINVAL || errno == ENOSYS || errno == EPERM) {  // not this kind of socket, kernel or sandbox
            reactor_.pipes().disable();
            return {};
        }
        return {.error = system_error(errno)};
    }
}

Socket::Raw Socket::send(Pipe& from) {
    if (!writable_) return {.again = true};
    for (;;) {
        const ssize_t put =
            ::splice(from.out(), nullptr, fd_.get(), nullptr, from.held(), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (put > 0) {
            sent_ += static_cast<std::uint64_t>(put);
            from.drained(static_cast<std::size_t>(put));
            return {.bytes = static_cast<std::size_t>(put)};
        }
        if (put == 0) return {.error = system_error(EIO)};  // it had less than we put in
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            writable_ = false;
            return {.again = true};
        }
        return {.error = system_error(errno)};
    }
}

Socket::Raw Socket::send(const iovec* pieces, std::size_t count) {
    if (!writable_) return {.again = true};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    for (;;) {
        const ssize_t put = count == 1 ? system_call::send(fd_.get(), pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                                       : system_call::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
        if (put >= 0) {
            sent_ += static_cast<std::uint64_t>(put);
            return {.bytes = static_cast<std::size_t>(put)};
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            writable_ = false;
            return {.again = true};
        }
        return {.error = system_error(errno)};
    }
}

void Socket::suspend(Operation& operation, bool writing) {
    Operation*& side = writing ? writer_ : reader_;
    assert(side == nullptr);
    side = &operation;
    if (writing) wait_to_write();
    arm();
}

std::size_t Socket::unsent() const {
    int held = 0;
    return ::ioctl(fd_.get(), SIOCOUTQ, &held) == 0 && held > 0 ? static_cast<std::size_t>(held) : 0;
}

/// Bytes that the peer has taken: what the kernel has from us, less what it still holds.
std::int64_t Socket::taken() const {
    return static_cast<std::int64_t>(sent_) - static_cast<std::int64_t>(unsent());
}

void Socket::wait_to_write() {
    progress_ = reactor_.now();
    write_look_ = never;
    if (write_stall_ <= Duration::zero() && pace_ == nullptr) return;
    taken_ = taken();
    pace_until_ = pace_ != nullptr ? pace_->waits(progress_, taken_) : never;
    write_look_ = std::min({deadline_after(progress_, write_stall_ / looks_per_stall),
                            deadline_after(progress_, write_stall_), pace_until_});
}

/// Looks at a waiting write: has its time come? Else `write_look_` is when to look again.
bool Socket::writer_is_late(TimePoint now) {
    const std::int64_t taken_before = std::exchange(taken_, taken());
    if (taken_ != taken_before) progress_ = now;
    if (pace_ != nullptr) pace_until_ = pace_->waits(now, taken_);
    const TimePoint stalled = deadline_after(progress_, write_stall_);
    if (stalled <= now || pace_until_ <= now) {
        if (pace_ != nullptr) pace_->gave_up(stalled > now);
        return true;
    }
    write_look_ = std::min({deadline_after(now, write_stall_ / looks_per_stall), stalled, pace_until_});
    return false;
}

void Socket::arm() {
    TimePoint soonest = never;
    if (reader_ != nullptr || idle_watch_ != nullptr) soonest = read_deadline_;
    if (writer_ != nullptr) soonest = std::min(soonest, write_look_);
    if (soonest != never) reactor_.wheel().schedule(*this, soonest);
}

void Socket::ready(Events events) {
    readable_ |= events.readable;
    writable_ |= events.writable;
    peer_closed_ |= events.peer_closed;
    broken_ |= events.broken;
    Reactor& reactor = reactor_;  // outlives this socket, which a resumed coroutine may destroy
    const std::uint32_t slot = reactor.slot_of(*this);
    const std::uint32_t generation = reactor.generation(slot);
    if (reader_ != nullptr && reader_->attempt(*reader_)) {
        Operation* done = std::exchange(reader_, nullptr);
        done->waiter.handle.resume();
        if (!reactor.alive(slot, generation)) return;  // it was closed meanwhile
    }
    if (writer_ != nullptr && writer_->attempt(*writer_)) {
        Operation* done = std::exchange(writer_, nullptr);
        if (pace_ != nullptr) pace_->goes_on(reactor.now());
        done->waiter.handle.resume();
        if (!reactor.alive(slot, generation)) return;
    }
    if (idle_watch_ != nullptr && reader_ == nullptr && readable_) {
        std::exchange(idle_watch_, nullptr)->idle_ended(*this);
    }
}

void Socket::expired(TimePoint now) {
    if (reader_ != nullptr && read_deadline_ <= now) finish(reader_, errc::timed_out);
    if (writer_ != nullptr && write_look_ <= now && writer_is_late(now)) finish(writer_, errc::timed_out);
    if (idle_watch_ != nullptr && reader_ == nullptr && read_deadline_ <= now) {
        read_deadline_ = never;  // it has been told; the writer's comes later
        Reactor& reactor = reactor_;
        const std::uint32_t slot = reactor.slot_of(*this);
        const std::uint32_t generation = reactor.generation(slot);
        std::exchange(idle_watch_, nullptr)->idle_ended(*this);
        if (!reactor.alive(slot, generation)) return;  // it was closed meanwhile
    }
    arm();
}

void Socket::finish(Operation*& side, errc reason) {
    if (side == nullptr) return;
    if (&side == &writer_ && pace_ != nullptr) pace_->goes_on(reactor_.now());
    Operation* done = std::exchange(side, nullptr);
    done->error = reason;
    reactor_.resume_later(done->waiter);
}

void Socket::cancel() {
    cancelled_ = true;
    finish(reader_, errc::cancelled);
    finish(writer_, errc::cancelled);
}

bool Socket::has_input() const {
    int bytes = 0;
    return fd_ && ::ioctl(fd_.get(), FIONREAD, &bytes) == 0 && bytes > 0;
}

bool Socket::is_quiet() const {
    char byte;
    return fd_ && system_call::recv(fd_.get(), &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

void Socket::cancel_read() {
    finish(reader_, errc::cancelled);
}

void Socket::shutdown_write() {
    if (fd_) ::shutdown(fd_.get(), SHUT_WR);
}

void Socket::close(bool abort) {
    if (!fd_) return;
    cancel();
    idle_watch_ = nullptr;
    reactor_.closing(*this);
    if (abort) {
        const linger now{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    fd_.reset();
}

Task<Result<std::unique_ptr<Socket>>> connect(Reactor& reactor, SocketAddress to, TimePoint deadline) {
    UniqueFd fd{::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int reason = fd ? EMFILE : errno;
    if (!fd || fd.get() >= reactor.descriptor_ceiling()) {
        if (reason == EMFILE || reason == ENFILE) reactor.count_connect_without_descriptor();
        co_return system_error(reason);
    }
    if (!to.is_unix()) {
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const bool pending = ::connect(fd.get(), &to.any, to.size) != 0;
    if (pending && errno != EINPROGRESS) co_return system_error(errno);
    auto socket = std::make_unique<Socket>(reactor, std::move(fd), pending);
    if (!socket->is_open()) co_return system_error(ENOMEM);
    if (pending) {
        // A failed connect is an error event, which makes the socket readable and writable at once.
        const auto connected = co_await socket->wait_connected(deadline);
        if (!connected) co_return connected.error();
    }
    co_return std::move(socket);
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        throw boost::system::system_error(system_error(errno), "socketpair");
    return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

}  // namespace edgeproxy::io
