// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "upstream/error.hpp"

namespace edgeproxy::upstream {

class Endpoint;
/// Names one endpoint (one incarnation of a worker, one address) for the life of the process. Never used twice; 0 is
/// nobody.
using EndpointId = std::uint64_t;

/// One who waits for a place at an endpoint. Lives as long as the waiting coroutine does; belongs to one WaitingLine at
/// a time.
///
/// idle -> waiting -> granted | failed -> idle. Everything but `state == idle` is guarded by the line's mutex.
struct Waiter {
    enum class State : std::uint8_t { idle, waiting, granted, failed };

    /// `home`: the index of the thread that waits. `avoid`: an endpoint to take only if there is no other, or 0.
    explicit Waiter(std::size_t home, EndpointId avoid = 0) : home(home), avoid(avoid) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    const std::size_t home;
    const EndpointId avoid;
    State state = State::idle;
    Endpoint* endpoint = nullptr;  ///< granted: a place is taken there
    errc error{};                  ///< failed: why

    Waiter* next = nullptr;
    Waiter* prev = nullptr;
};

/// The queue of one pool: first come, first served, bounded; places are handed over, not raced for.
///
/// Protocol (with Gate):
///   newcomer   if anybody waits, or nobody has room: `join`, then `pump` at once
///   releaser   `Gate::release`, then if `occupied()`: `pump`. Whoever adds capacity in another way pumps too
///   pump       takes places for the waiters in order, as long as there are any, and tells each waiter's home
///   home       when told: `hear`, then `collect` on its own thread until it gives null, and resumes those waiters;
///              after a pump of its own that says so: `collect` alone
///   goer       `leave`: its time is over, cancellation or a destroyed frame. A place that was already granted comes
///              back and must be passed on
///
/// `join` raises the count before it looks for room, `release` frees room before it looks at the count, all
/// sequentially consistent: no place is free while somebody waits and nobody pumps. The mutex is taken only when
/// somebody waits.
///
/// Any thread, except that a waiter is joined, collected and left by its home thread only.
class WaitingLine {
 public:
    /// Takes a place for this waiter, or gives null to stop. Called under the line's mutex: no call back into the line.
    using Take = std::function<Endpoint*(const Waiter&)>;
    /// Tells a home, from any thread, that it has something to collect; not again until it has heard. Called under the
    /// mutex.
    using Tell = std::function<void(std::size_t home)>;

    static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

    /// `size`: how many may wait. `homes`: how many threads wait here.
    WaitingLine(std::size_t size, std::size_t homes, Take take, Tell tell);
    WaitingLine(const WaitingLine&) = delete;
    WaitingLine& operator=(const WaitingLine&) = delete;
    /// REQUIRES: nobody waits.
    ~WaitingLine();

    /// Somebody waits: newcomers must join, releasers must pump.
    bool occupied() const { return length_.load(std::memory_order_seq_cst) != 0; }
    /// How many wait.
    std::size_t length() const { return length_.load(std::memory_order_relaxed); }

    /// Appends the waiter. False when the line is full.
    bool join(Waiter& waiter);
    /// `caller`: the home of the calling thread, or `nobody`. True: the caller's home has something to collect; it is
    /// not told.
    bool pump(std::size_t caller = nobody);
    /// Fails everybody who waits.
    void fail_all(errc error);
    /// The home was told and is about to collect: from now on it is told again.
    void hear(std::size_t home);
    /// The next settled (granted or failed) waiter of this home, now idle but with `endpoint` or `error` set; or null.
    Waiter* collect(std::size_t home);
    /// Takes the waiter out, whatever its state; idle afterwards. True if it was settled: then `endpoint` or `error` is
    /// set.
    bool leave(Waiter& waiter);

    void set_size(std::size_t size);
    /// Runs `change` under the line's mutex: for what `Take` looks at.
    template <class Change>
    void locked(Change change) {
        const std::lock_guard lock(mutex_);
        change();
    }

 private:
    struct List {
        Waiter* first = nullptr;
        Waiter* last = nullptr;
        void append(Waiter& waiter);
        void remove(Waiter& waiter);
    };
    struct Home {
        List settled;
        bool told = false;
    };
    void settle(Waiter& waiter, Waiter::State state, std::size_t caller);  ///< moves it from the line to its home

    std::atomic<std::size_t> length_{0};
    std::mutex mutex_;
    std::size_t size_;
    List waiting_;
    std::vector<Home> homes_;
    Take take_;
    Tell tell_;
};

}  // namespace edgeproxy::upstream
