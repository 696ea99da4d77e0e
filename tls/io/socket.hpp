// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/uio.h>

#include <array>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "tls/io/ip.hpp"
#include "tls/io/reactor.hpp"

namespace edgeproxy::io {

class Socket;

/// One pending read or write. Lives in the awaiting coroutine's frame, so each kind has only what it needs. `attempt`
/// tries to finish it without blocking; the socket calls it again whenever it became readable or writable, and resumes
/// `waiter` once it is finished, so a resumed coroutine always has its result.
struct Operation {
    using Attempt = bool (*)(Operation&) noexcept;

    Attempt attempt = nullptr;
    Socket* socket = nullptr;
    void* owner = nullptr;  ///< what `attempt` needs beside the socket (a TLS stream, a pipe)
    Suspended waiter{};
    error_code error{};
    std::size_t transferred = 0;
};

struct ReadOperation : Operation {
    char* data = nullptr;  ///< where to
    std::size_t size = 0;
    Buffer* buffer = nullptr;  ///< takes the bytes from `from` on; if it is empty it is taken, of `size` bytes ...
    std::size_t from = 0;

    /// ... once there is something to read: `data` and `size` are its room then. Calls `read`, and takes the buffer
    /// back if that read nothing. An attempt's result: true = finished; without memory it is, with an error.
    bool read_with_buffer(bool (&read)(Operation&) noexcept) noexcept;
};

struct WriteOperation : Operation {
    std::array<iovec, 3> pieces{};  ///< what is left to send
    std::size_t first = 0;          ///< the first piece that is not finished

    std::size_t remaining() const;
    /// Takes `count` bytes as sent.
    void consume(std::size_t count);
};

/// Awaitable for one Operation on the reading or writing side of a socket; gives the number of bytes.
template <bool writing>
class [[nodiscard]] Transfer {
 public:
    std::conditional_t<writing, WriteOperation, ReadOperation> operation;

    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> waiter);
    Result<std::size_t> await_resume() const {
        if (operation.error) return operation.error;
        return operation.transferred;
    }
};
using Read = Transfer<false>;
using Write = Transfer<true>;

/// A non-blocking connected stream socket (TCP or unix) of one reactor.
///
/// System calls are tried first and awaited only on "empty" or "full". It is registered once, edge-triggered, and
/// remembers what it knows: `readable()` is cleared by a short read, so that a wait costs no failed call. At most one
/// read and one write may be pending. Deadlines belong to the socket: set them, and the pending or next operation of
/// that side ends with `errc::timed_out` when they pass. Must outlive its pending operations. Neither copied nor moved.
/// Closed in the destructor.
class Socket final : Source, Timer {
 public:
    /// Takes over a connected non-blocking descriptor, or one whose connect is under way. TCP_NODELAY is the maker's
    /// business.
    Socket(Reactor& reactor, UniqueFd fd, bool connecting = false);
    ~Socket();

    Reactor& reactor() const { return reactor_; }
    int fd() const { return fd_.get(); }
    bool is_open() const { return static_cast<bool>(fd_); }

    /// Up to `into.size()` bytes, at least one; `errc::eof` at the peer's end.
    Read read_some(std::span<char> into);
    /// The same into `buffer`, from its byte `from` on. An empty one becomes one of the reactor's of `size` bytes
    /// (BufferPool::small or large), but only once there is something to read: who waits holds none.
    Read read_some(Buffer& buffer, std::size_t from, std::size_t size = BufferPool::small);
    /// All of the pieces in this order (head and body, or a chunk with its framing, in one call), unless it fails.
    Write write_all(std::span<const char> first, std::span<const char> second = {}, std::span<const char> third = {});
    /// Up to `most` bytes into `pipe`, which must be empty and gets a pipe of the reactor's only once there is
    /// something to read. Gives 0, and no pipe, when none is to be had: `read_some` then.
    Read splice_some(Pipe& pipe, std::size_t most);
    /// All that is in `pipe`, unless it fails.
    Write splice_all(Pipe& pipe);
    /// Until something can be read (bytes or the end). Holds no buffer. Gives 0.
    Read wait_readable();

    /// Until a connect that was under way succeeded (0) or failed.
    Write wait_connected(TimePoint deadline);

    /// Reads, and waits to read, that are not finished then end with `errc::timed_out`. `never` = no limit. Costs
    /// nothing to move later.
    void read_deadline(TimePoint deadline) {
        read_deadline_ = deadline;
        if (reader_ != nullptr || idle_watch_ != nullptr) arm();
    }
    /// Writes end with `errc::timed_out` when the peer took not one byte for so long. Zero = no limit. What the kernel
    /// still holds for the peer counts as not taken, so a slow peer behind a large send buffer is told from a dead one.
    void write_stall(Duration longest) { write_stall_ = longest; }

    /// Who decides whether a peer takes bytes fast enough while a write has to wait for it.
    struct Pace {
        /// A write begins to wait, or still waits. `taken`: bytes that the peer has taken so far (only differences
        /// count). Returns by when to be asked again; a moment that has passed ends the write with `errc::timed_out`.
        virtual TimePoint waits(TimePoint now, std::int64_t taken) = 0;
        /// The write goes on, or is over.
        virtual void goes_on(TimePoint now) = 0;
        /// The write was ended: not one byte for the length of the stall, or (`slow`) by `waits`.
        virtual void gave_up(bool slow) = 0;

     protected:
        ~Pace() = default;
    };
    /// Null = only the stall counts. Must outlive the socket's writes.
    void pace(Pace* pace) { pace_ = pace; }

    bool readable() const { return readable_; }
    bool writable() const { return writable_; }
    /// Bytes that the kernel holds for the peer. Asks the kernel.
    std::size_t unsent() const;
    /// The peer has shut down its sending side, or the connection is broken.
    bool peer_closed() const { return peer_closed_; }
    /// Bytes have come that nobody has read. Asks the kernel.
    bool has_input() const;
    /// Nothing has come that was not read, neither bytes nor the end. Asks the kernel.
    bool is_quiet() const;
    /// Input of this socket (or its end) will be delivered later in this batch of the reactor.
    bool input_ahead() const { return reactor_.input_ahead(*this); }
    /// The connection is over in both directions.
    bool broken() const { return broken_; }
    bool reading() const { return reader_ != nullptr; }
    bool writing() const { return writer_ != nullptr; }

    /// Ends the pending operations with `errc::cancelled`; later ones too.
    void cancel();
    bool cancelled() const { return cancelled_; }
    /// After `cancel`: operations are possible again. REQUIRES: none is pending.
    void restore() { cancelled_ = false; }
    /// Ends a pending read (only) with `errc::cancelled`; later reads are possible.
    void cancel_read();
    /// No more bytes from us (FIN).
    void shutdown_write();
    /// Closed now; the peer gets a reset if `abort`. Pending operations end with `errc::cancelled`.
    void close(bool abort = false);

    /// Whoever watches an idle connection: called (once) when it becomes readable or closed while no read is pending.
    /// Null to stop.
    struct IdleWatch {
        virtual void idle_ended(Socket& socket) = 0;

     protected:
        ~IdleWatch() = default;
    };
    void watch_idle(IdleWatch* watch) { idle_watch_ = watch; }

    // For awaiters and streams above (TLS): the raw calls, with the bookkeeping of the flags.
    struct Raw {
        std::size_t bytes = 0;
        error_code error{};
        bool again = false;  ///< nothing now: wait
    };
    Raw receive(std::span<char> into);
    Raw receive(Pipe& into, std::size_t most);
    Raw send(const iovec* pieces, std::size_t count);
    Raw send(Pipe& from);
    void suspend(Operation& operation, bool writing);

 private:
    void ready(Events events) override;
    void expired(TimePoint now) override;
    void cancel_waits() override { cancel(); }
    void arm();
    std::int64_t taken() const;
    void wait_to_write();
    bool writer_is_late(TimePoint now);
    void finish(Operation*& side, errc reason);

    Reactor& reactor_;
    UniqueFd fd_;
    bool readable_ = false, writable_ = true, peer_closed_ = false, broken_ = false, cancelled_ = false;
    Operation* reader_ = nullptr;
    Operation* writer_ = nullptr;
    IdleWatch* idle_watch_ = nullptr;
    TimePoint read_deadline_ = never;
    TimePoint write_look_ = never;  ///< when a waiting write is looked at
    TimePoint progress_{};          ///< when a waiting write was last seen to get on
    TimePoint pace_until_ = never;
    Duration write_stall_{};
    Pace* pace_ = nullptr;
    std::uint64_t sent_ = 0;  ///< bytes given to the kernel
    std::int64_t taken_ = 0;
};

template <bool writing>
bool Transfer<writing>::await_ready() noexcept {
    if (operation.socket->cancelled()) {
        operation.error = errc::cancelled;
        return true;
    }
    return operation.attempt(operation);
}

template <bool writing>
void Transfer<writing>::await_suspend(std::coroutine_handle<> waiter) {
    operation.waiter.handle = waiter;
    operation.socket->suspend(operation, writing);
}

/// A new socket connected to `to` (TCP_NODELAY set), or why not: ECONNREFUSED, EAGAIN (a unix backlog is full), EMFILE
/// (also at the reactor's `descriptor_ceiling`), `errc::timed_out` ...
Task<Result<std::unique_ptr<Socket>>> connect(Reactor& reactor, SocketAddress to, TimePoint deadline);

/// A pair of connected unix sockets, for tests.
std::pair<UniqueFd, UniqueFd> socket_pair();

}  // namespace edgeproxy::io
