// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>

#include "config/config.hpp"
#include "tls/io/clock.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::master {

/// How many workers a pool should have, by how long its requests wait for one. Pure: time and numbers come in.
///
/// Up fast: requests that wait longer than `queue_time` on average, for `up_after`, want one worker more; four times as
/// long, half as many again. Down slowly: when nobody waits (a tenth of `queue_time` at most, on average) and one
/// worker less would have 30 % to spare with what is in flight, all through `down_after`, one goes. Between these two
/// nothing happens. Each change begins both anew, and while workers start or are replaced nothing is decided, so a
/// worker that is asked for is seen at work before the next one is.
///
/// Memory guards: no worker is added that would bring what is in use above `memory` percent, as large as the largest of
/// the pool; and what is above it for `up_after` costs one, down to `min`.
class Scaling {
 public:
    struct Sample {
        io::TimePoint now{};
        unsigned workers = 0;                             ///< wanted now
        bool settled = false;                             ///< all of them are ready, none is being replaced
        std::uint64_t requests = 0;                       ///< that got a place, since the proxy started
        std::uint64_t waited_us = 0;                      ///< ... and how long they waited for it, together
        std::uint64_t waiting = 0;                        ///< requests that wait now
        std::uint64_t in_flight = 0;                      ///< requests at the workers now
        std::uint64_t room = 0;                           ///< requests that one worker takes at once
        std::uint64_t memory_used = 0, memory_limit = 0;  ///< limit 0 = nothing is known
        std::uint64_t worker_bytes = 0;                   ///< of the largest worker
    };
    struct Verdict {
        unsigned workers = 0;
        std::optional<control::ScaleDecision> decision;  ///< empty = nothing to be said
    };
    /// After a longer silence of the proxy everything begins anew.
    static constexpr io::Duration longest_gap = std::chrono::seconds(10);

    /// About once a second.
    Verdict observe(const Sample& sample, const config::Autoscale& limits);

 private:
    using Since = std::optional<io::TimePoint>;

    void forget();
    bool holds_for(Since& since, bool condition, io::TimePoint begun, io::TimePoint now, io::Duration length);
    io::Duration mean_wait(const Sample& sample) const;
    Verdict grow(const Sample& sample, const config::Autoscale& limits, io::Duration wait);

    std::optional<Sample> last_;
    Since slow_, calm_, tight_;
};

}  // namespace edgeproxy::master
