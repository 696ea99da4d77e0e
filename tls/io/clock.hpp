// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>

namespace edgeproxy::io {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

/// A deadline that never comes.
inline constexpr TimePoint never = TimePoint::max();

/// Where a reactor gets its time: the monotonic clock, or (tests) a hand that moves only when told.
///
/// The only place that asks the system for the time; everything else takes a `TimePoint`. Value type; a manual clock
/// must outlive the reactor that points at it. Not for use by two threads when manual.
class Clock {
 public:
    /// The monotonic clock.
    static Clock real() { return Clock{false}; }
    /// Starts at an arbitrary point and stands still until `advance`.
    static Clock manual() { return Clock{true}; }

    bool is_manual() const { return manual_; }
    TimePoint now() const { return manual_ ? hand_ : std::chrono::steady_clock::now(); }
    void advance(Duration by) { hand_ += std::chrono::duration_cast<TimePoint::duration>(by); }
    void advance_to(TimePoint to) {
        if (to > hand_) hand_ = to;
    }

 private:
    explicit Clock(bool manual) : manual_(manual) {}
    bool manual_;
    TimePoint hand_{std::chrono::hours(1000)};
};

/// `now + by`, where a zero or huge `by` means no deadline.
inline TimePoint deadline_after(TimePoint now, Duration by) {
    if (by <= Duration::zero() || by > std::chrono::hours(24 * 365)) return never;
    return now + std::chrono::duration_cast<TimePoint::duration>(by);
}

}  // namespace edgeproxy::io
