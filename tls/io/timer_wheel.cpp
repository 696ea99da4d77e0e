// SPDX-License-Identifier: Apache-2.0
#include "tls/io/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace edgeproxy::io {

void Timer::unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
}

TimerWheel::TimerWheel(TimePoint now) : origin_(now) {
    for (Head& head : heads_) head.next_ = head.prev_ = &head;
}

TimerWheel::~TimerWheel() {
    for (Head& head : heads_) {
        while (head.next_ != &head) head.next_->unlink();
        head.next_ = head.prev_ = nullptr;
    }
}

void TimerWheel::link(Timer& timer, std::int64_t at_tick) {
    const std::size_t slot = static_cast<std::size_t>(at_tick) % slots;
    Timer& head = heads_[slot];
    maybe_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    timer.slot_tick_ = at_tick;
    timer.prev_ = head.prev_;
    timer.next_ = &head;
    head.prev_->next_ = &timer;
    head.prev_ = &timer;
}

void TimerWheel::schedule(Timer& timer, TimePoint deadline) {
    timer.deadline_ = deadline;
    if (deadline == never) return;
    // The slot after the deadline's own tick, so that it is never looked at early; far ones wait in the farthest slot.
    const std::int64_t farthest = current_ + static_cast<std::int64_t>(slots) - 1;
    const std::int64_t wanted = std::clamp(tick_of(deadline) + 1, current_ + 1, farthest);
    if (timer.linked()) {
        if (timer.slot_tick_ <= wanted) return;  // lazy: it is looked at earlier and moved on then
        timer.unlink();
    }
    link(timer, wanted);
}

void TimerWheel::advance(TimePoint now) {
    const std::int64_t target = tick_of(now);
    // After a long sleep every slot is due once; the ticks in between need not be walked one by one.
    if (target - current_ > static_cast<std::int64_t>(slots)) current_ = target - static_cast<std::int64_t>(slots);
    while (current_ < target) {
        ++current_;
        Head& head = heads_[static_cast<std::size_t>(current_) % slots];
        if (head.next_ == &head) continue;
        // Moved to a list of its own first: timers that are linked again must not be met in this walk.
        Head due;
        due.next_ = head.next_;
        due.prev_ = head.prev_;
        due.next_->prev_ = &due;
        due.prev_->next_ = &due;
        head.next_ = head.prev_ = &head;
        while (due.next_ != &due) {
            Timer& timer = *due.next_;
            timer.unlink();
            if (timer.deadline_ <= now) {
                timer.expired(now);
            } else {
                schedule(timer, timer.deadline_);
            }
        }
        due.next_ = due.prev_ = nullptr;
    }
}

TimePoint TimerWheel::next_due() {
    const std::int64_t first = current_ + 1;
    for (std::int64_t at = first; at < first + static_cast<std::int64_t>(slots);) {
        const std::size_t slot = static_cast<std::size_t>(at) % slots;
        std::uint64_t& word = maybe_[slot / 64];
        const std::uint64_t rest = word >> (slot % 64);
        if (rest == 0) {
            at += static_cast<std::int64_t>(64 - slot % 64);
            continue;
        }
        at += std::countr_zero(rest);
        const std::size_t found = static_cast<std::size_t>(at) % slots;
        if (heads_[found].next_ != &heads_[found]) {
            if (at >= first + static_cast<std::int64_t>(slots)) break;
            return origin_ + std::chrono::duration_cast<TimePoint::duration>(tick * at);
        }
        word &= ~(std::uint64_t{1} << (found % 64));  // its timers have gone
    }
    return never;
}

}  // namespace edgeproxy::io
