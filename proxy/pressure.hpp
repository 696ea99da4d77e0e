// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

#include "tls/io/clock.hpp"

/// What to do about overload: pure decisions, measurements and time come in as values.
namespace edgeproxy::proxy {

/// How short memory is, and so what is done: each level does what the ones before it do as well.
enum class Pressure : std::uint8_t {
    none,
    saving,    ///< from 80 % of the budget: answers end their connections, idle connections go
    refusing,  ///< from 90 %: new requests are answered 503, accept pauses
    cutting    ///< from 95 %: the streams and connections that hold most are reset, largest first
};

/// Tells the level from what is used of the budget. A level is left only 5 % below where it was entered, so that it
/// does not come and go with every request.
class MemoryPressure {
 public:
    /// In hundredths of the budget, where saving, refusing and cutting begin.
    static constexpr std::array<unsigned, 3> enter{80, 90, 95};
    static constexpr unsigned hysteresis = 5;

    explicit constexpr MemoryPressure(std::uint64_t budget) : budget_(budget) {}

    constexpr Pressure observe(std::uint64_t used) {
        const std::uint64_t hundredth = budget_ / 100 > 0 ? budget_ / 100 : 1;
        unsigned level = 0;
        for (unsigned i = 0; i < enter.size(); ++i) {
            const bool held = level_ > i;
            if (used >= hundredth * (held ? enter[i] - hysteresis : enter[i])) level = i + 1;
        }
        level_ = level;
        return pressure();
    }
    constexpr Pressure pressure() const { return static_cast<Pressure>(level_); }
    /// What must be given back so that `refusing` is left.
    constexpr std::uint64_t excess(std::uint64_t used) const {
        const std::uint64_t goal = budget_ / 100 * (enter[1] - hysteresis);
        return used > goal ? used - goal : 0;
    }
    /// A new budget; the level stays until the next measurement.
    constexpr void budget(std::uint64_t bytes) { budget_ = bytes; }
    constexpr std::uint64_t budget() const { return budget_; }

 private:
    std::uint64_t budget_;
    unsigned level_ = 0;
};

/// Tells whether a loop is overloaded: its timer was later than the limit, each time for a whole second. It recovers
/// when it was in time for a second.
class LoopLag {
 public:
    static constexpr io::Duration patience = std::chrono::seconds(1);

    /// The timer of this loop ran now, `late` after it should have. `limit` zero: never overloaded.
    constexpr bool observe(io::TimePoint now, io::Duration late, io::Duration limit) {
        const bool lags = limit > io::Duration::zero() && late > limit;
        if (lags == overloaded_) {
            since_ = io::never;
        } else if (since_ == io::never) {
            since_ = now;
        } else if (now - since_ >= patience) {
            overloaded_ = lags;
            since_ = io::never;
        }
        return overloaded_;
    }
    constexpr bool overloaded() const { return overloaded_; }

 private:
    bool overloaded_ = false;
    io::TimePoint since_ = io::never;  ///< from when on measurements speak against `overloaded_`
};

/// How much longer a probe may take when the deadline's own timer ran `late`: a loop that lags reads answers late, and
/// the endpoint is not to blame for that. At most once the probe's timeout again, and nothing for a loop in time.
constexpr io::Duration probe_grace(io::Duration timeout, io::Duration late) {
    constexpr io::Duration in_time = std::chrono::milliseconds(20);
    if (late <= in_time) return io::Duration::zero();
    return late * 4 < timeout ? late * 4 : timeout;
}

}  // namespace edgeproxy::proxy
