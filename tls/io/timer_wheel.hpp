// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include "tls/io/clock.hpp"

namespace edgeproxy::io {

/// A deadline in a TimerWheel. Embedded in what it belongs to; unlinks itself in its destructor.
class Timer {
 public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    TimePoint deadline() const { return deadline_; }
    bool linked() const { return next_ != nullptr; }

 protected:
    ~Timer() { unlink(); }

 private:
    friend class TimerWheel;
    /// The deadline has passed; the timer is unlinked and may be scheduled again or destroyed in here.
    virtual void expired(TimePoint now) = 0;
    void unlink();

    Timer* next_ = nullptr;
    Timer* prev_ = nullptr;
    TimePoint deadline_ = never;
    std::int64_t slot_tick_ = 0;  ///< the tick whose slot it is linked in
};

/// Many deadlines that are nearly always moved before they pass: one array of slots of `tick`, each an intrusive list.
///
/// Moving a deadline later only stores it: the timer is looked at when its old slot comes round and is then linked
/// again. So it costs nothing per request. A deadline passes up to one `tick` late, never early. No allocation. One
/// thread.
class TimerWheel {
 public:
    static constexpr Duration tick = std::chrono::milliseconds(20);
    static constexpr std::size_t slots = 1024;

    explicit TimerWheel(TimePoint now);
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;
    ~TimerWheel();

    /// Sets or moves the deadline; `never` leaves a linked timer to be forgotten when its slot comes.
    void schedule(Timer& timer, TimePoint deadline);
    void cancel(Timer& timer) { timer.unlink(); }

    /// Calls `expired` of every timer whose deadline is at or before `now`.
    void advance(TimePoint now);

    /// When the next slot with a timer is due, for the wait in the kernel; `never` if the wheel is empty. May be early,
    /// never late.
    TimePoint next_due();

 private:
    struct Head final : Timer {
        void expired(TimePoint) override {}
    };
    void link(Timer& timer, std::int64_t at_tick);
    std::int64_t tick_of(TimePoint point) const { return (point - origin_) / tick; }

    TimePoint origin_;
    std::int64_t current_ = 0;  ///< every tick up to this one has been looked at
    std::array<Head, slots> heads_;
    std::array<std::uint64_t, slots / 64>
        maybe_{};  ///< one bit a slot: clear = surely empty, so that `next_due` skips 64 at once
};

}  // namespace edgeproxy::io
