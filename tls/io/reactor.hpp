// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "tls/io/buffer_pool.hpp"
#include "tls/io/clock.hpp"
#include "tls/io/error.hpp"
#include "tls/io/fd.hpp"
#include "tls/io/pipe_pool.hpp"
#include "tls/io/task.hpp"
#include "tls/io/timer_wheel.hpp"

namespace edgeproxy::io {

class Reactor;

/// Something with a descriptor in a reactor's set. `ready` is called with what became possible; it may destroy any
/// source, itself included.
class Source {
 public:
    struct Events {
        bool readable = false, writable = false;
        bool peer_closed = false;  ///< the peer sends no more
        bool broken = false;       ///< the connection is over in both directions (reset, error)
    };

 protected:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() = default;

 private:
    friend class Reactor;
    virtual void ready(Events events) = 0;
    /// Ends the waits on this source with `errc::cancelled`.
    virtual void cancel_waits() {}
    std::uint32_t slot_ = 0;
};

/// A piece of work posted to a reactor from any thread. The node belongs to the poster until `run` is called, which may
/// free it.
class Posted {
 public:
    virtual void run() = 0;

 protected:
    ~Posted() = default;

 private:
    friend class Reactor;
    Posted* next_ = nullptr;
};

/// Something that wants one call at the end of the current batch of events (HTTP/2 flush ...). Unlinks itself when
/// destroyed.
class BatchEnd {
 public:
    BatchEnd() = default;
    BatchEnd(const BatchEnd&) = delete;
    BatchEnd& operator=(const BatchEnd&) = delete;

 protected:
    ~BatchEnd() { unlink(); }

 private:
    friend class Reactor;
    virtual void batch_ended() = 0;
    void unlink();
    BatchEnd* next_ = nullptr;
    BatchEnd* prev_ = nullptr;
};

/// A suspended coroutine, and its place in a list of the reactor's: nobody needs memory to be resumed. Lies in the
/// coroutine's own frame, or lives at least until it is resumed. In one list at a time.
struct Suspended {
    std::coroutine_handle<> handle{};
    Suspended* next = nullptr;
};

/// A wait that is no socket's: a node in the reactor's list, so that shutdown can cancel it. Completed through the
/// ready list.
class Wait {
 public:
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

 protected:
    explicit Wait(Reactor& reactor) : reactor_(reactor) {}
    ~Wait();
    /// Suspends `waiter` until `complete`.
    void begin(Suspended& waiter);
    bool waiting() const { return waiter_ != nullptr; }
    /// Resumes the waiter in this turn of the loop (never inline). A second call does nothing.
    void complete();
    Reactor& reactor_;

 private:
    friend class Reactor;
    /// Ends the wait early: store the reason, call complete().
    virtual void cancel() = 0;
    Suspended* waiter_ = nullptr;
    Wait* next_ = nullptr;
    Wait* prev_ = nullptr;
};

/// One thread's event loop: an edge-triggered epoll set, a timer wheel, a ready list, a mailbox.
///
/// Order of a turn: wait in the kernel, deliver events, run what other threads posted, resume the ready list, expire
/// timers, end of batch, reap finished coroutines. All calls but `post` and `stop` are for the owning thread.
/// Coroutines spawned here never leave it.
class Reactor {
 public:
    /// Of one wait. More than are ever ready at once, or nearly: see `saw_all`.
    static constexpr unsigned max_events = 1024;

    /// `clock` must outlive the reactor. `index` is 0..threads-1.
    Reactor(unsigned index, Clock& clock);
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;
    ~Reactor();

    unsigned index() const { return index_; }
    /// The time at the start of this turn; read once per wake-up. For deadlines.
    TimePoint now() const { return now_; }
    /// The time right now, for latencies (a system call's worth of 25 ns).
    TimePoint precise_now() const { return clock_.now(); }
    BufferPool& buffers() { return buffers_; }
    PipePool& pipes() { return pipes_; }
    /// Connections that we make get no descriptor from this number on: the rest is for what must always work.
    int descriptor_ceiling() const { return descriptor_ceiling_; }
    void descriptor_ceiling(int number) { descriptor_ceiling_ = number; }
    /// Connections that were not made for want of a descriptor.
    std::uint64_t connects_without_descriptor() const { return connects_without_descriptor_; }
    void count_connect_without_descriptor() { ++connects_without_descriptor_; }
    TimerWheel& wheel() { return wheel_; }

    /// Runs until `stop`.
    void run();
    /// One turn: waits at most `longest`. With a manual clock it never waits in the kernel: when nothing is ready it
    /// moves the clock to the next deadline (at most by `longest`). Returns false when nothing was ready and no
    /// deadline was moved to.
    bool run_once(Duration longest);
    /// From any thread: `run` returns after its current turn.
    void stop();

    /// From any thread: `node.run()` is called on the owning thread, in order of posting.
    void post(Posted& node);
    /// The same for a function; allocates, so not for the path of a request.
    void post(std::function<void()> work);

    /// Starts a coroutine that nobody awaits; the reactor frees its frame when it is done. An exception that leaves it
    /// is counted and dropped.
    void spawn(Task<void> task);
    std::size_t spawned() const { return spawned_; }
    std::uint64_t exceptions() const { return exceptions_; }

    /// Resumes `waiter` later in this turn (or the next), never inline.
    void resume_later(Suspended& waiter) noexcept {
        *ready_end_ = &waiter;
        ready_end_ = &waiter.next;
    }
    /// Awaitable: lets everybody else go first.
    auto yield() {
        struct Yield {
            Reactor& reactor;
            Suspended waiter{};
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<> handle) noexcept {
                waiter.handle = handle;
                reactor.resume_later(waiter);
            }
            void await_resume() const noexcept {}
        };
        return Yield{*this};
    }

    /// Asks for one `batch_ended()` at the end of this turn. Asking twice is asking once.
    void at_batch_end(BatchEnd& node);

    /// Ends every wait that is linked here (sleeps, events) and every socket's, with `errc::cancelled`. For shutdown.
    void cancel_all();

    /// How many waits there were: the number of this turn.
    std::uint64_t turn() const { return turn_; }
    /// This turn's wait left out nobody: it returned everything that was ready. (It takes `max_events`; the kernel
    /// gives the rest to the next ones.)
    bool saw_all() const { return saw_all_; }
    /// This turn's wait has found input of this source (or its end), which was not delivered yet: it comes later in
    /// this batch.
    bool input_ahead(const Source& source) const { return slots_[source.slot_].input_ahead; }

    // For sources: registration in the epoll set. Fails with ENOSPC or ENOMEM.
    error_code add(Source& source, int fd);
    /// Level-triggered and exclusive, for listening sockets shared by several reactors.
    error_code add_listener(Source& source, int fd);
    /// Before the descriptor is closed, where it has duplicates or is not closed at all.
    void remove(Source& source, int fd);
    /// The descriptor, which has no duplicate, is closed right after: the kernel takes it out of the set by itself.
    void closing(Source& source);
    /// Whether the source that had this slot at that generation is still there.
    bool alive(std::uint32_t slot, std::uint32_t generation) const { return slots_[slot].generation == generation; }
    std::uint32_t slot_of(const Source& source) const { return source.slot_; }
    std::uint32_t generation(std::uint32_t slot) const { return slots_[slot].generation; }

 private:
    friend class Wait;
    struct BatchEnds final : BatchEnd {
        void batch_ended() override {}
    };
    struct Slot {
        Source* source = nullptr;
        std::uint32_t generation = 0;
        bool input_ahead = false;
    };
    struct Root;
    bool add_slot();
    error_code add(Source& source, int fd, std::uint32_t events);
    bool has_work() const { return ready_end_ != &ready_ || batch_ends_.next_ != &batch_ends_; }
    int wait_time(Duration longest);
    bool move_manual_clock(Duration longest);
    void announce(std::uint64_t data, std::uint32_t events);
    template <class Work>
    void guarded(Work work);
    void deliver(std::uint64_t data, std::uint32_t events);
    void take_posted();
    void resume_ready();
    void end_batch();
    void reap();

    Clock& clock_;
    unsigned index_;
    TimePoint now_;
    UniqueFd epoll_;
    UniqueFd wakeup_;
    TimerWheel wheel_;
    BufferPool buffers_;
    PipePool pipes_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;  ///< has room for all
    Suspended* ready_ = nullptr;             ///< in order; says something only if it is not empty
    Suspended** ready_end_ = &ready_;        ///< where the next one goes: `&ready_` = it is empty
    Suspended* finished_ = nullptr;          ///< the last one first
    BatchEnds batch_ends_;                   ///< sentinel of a circular list
    Wait* waits_ = nullptr;
    std::atomic<Posted*> posted_{nullptr};
    std::atomic<bool> stopped_{false};
    int descriptor_ceiling_ = 1 << 30;
    std::uint64_t connects_without_descriptor_ = 0;
    std::size_t spawned_ = 0;
    std::uint64_t exceptions_ = 0;
    std::uint64_t turn_ = 0;
    bool saw_all_ = true;
};

/// Awaitable: suspends until `deadline`. Gives `errc::cancelled` when the reactor is shutting down.
class Sleep final : Wait, Timer {
 public:
    Sleep(Reactor& reactor, TimePoint deadline) : Wait(reactor), until_(deadline) {}
    bool await_ready() const { return until_ <= reactor_.now(); }
    void await_suspend(std::coroutine_handle<> handle);
    Result<void> await_resume() const;

 private:
    void expired(TimePoint) override { complete(); }
    void cancel() override;
    Suspended suspended_;
    TimePoint until_;
    bool cancelled_ = false;
};

/// A flag that one coroutine may wait for, set on the same thread. Stays set until `reset`.
class Event final : Wait, Timer {
 public:
    explicit Event(Reactor& reactor) : Wait(reactor) {}
    bool is_set() const { return set_; }
    void set();
    void reset() { set_ = false; }
    /// Awaitable: until `set`, or `errc::timed_out` at the deadline, or `errc::cancelled`.
    auto wait(TimePoint deadline = never) {
        struct Awaiter {
            Event& event;
            TimePoint deadline;
            Suspended waiter{};
            bool await_ready() const noexcept { return event.set_; }
            void await_suspend(std::coroutine_handle<> handle) {
                waiter.handle = handle;
                event.suspend(waiter, deadline);
            }
            Result<void> await_resume() const { return event.outcome(); }
        };
        return Awaiter{*this, deadline};
    }
    /// Ends a wait with `errc::cancelled`.
    void cancel() override;

 private:
    void expired(TimePoint) override;
    void suspend(Suspended& waiter, TimePoint deadline);
    Result<void> outcome();
    bool set_ = false;
    errc reason_{};
};

}  // namespace edgeproxy::io
