// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "upstream/master/worker.hpp"

namespace edgeproxy::master {

/// When a dead worker is started again.
struct RestartPolicy {
    milliseconds backoff_min{500};
    milliseconds backoff_max{30000};
    milliseconds reset_after{60000};  ///< ready this long: the past is forgiven
    unsigned loop_failures = 5;       ///< so many failures ...
    milliseconds loop_window{60000};  ///< ... in this time are a crash loop; so many failed starts in a row as well
};

RestartPolicy restart_policy(const config::Pool& pool);

/// How an incarnation ended, for its slot.
struct Ending {
    WorkerEnd end = WorkerEnd::unasked;
    bool was_ready = false;
    milliseconds ready_for{};  ///< how long it had been ready
};

/// A worker's place: remembers how its incarnations ended and decides when the next one starts. Pure.
///
/// The first unexpected death of a worker that had been ready costs no wait, the next ones 0.5, 1, 2 ... 30 s, each
/// +-20 %; a start that failed always waits. An end that we asked for is no failure and waits for nothing.
class Slot {
 public:
    explicit Slot(RestartPolicy policy) : policy_(policy) {}

    void adopt(RestartPolicy policy) { policy_ = policy; }
    /// An incarnation died. `jitter` is drawn evenly from -1 to 1 by the caller. Returns how long to wait for the next
    /// start.
    milliseconds on_end(const Ending& ending, TimePoint now, double jitter);
    /// An incarnation became ready.
    void on_ready() { past_.failed_starts = 0; }

    /// Why the next start is a restart. Empty when the last end was asked for or nothing has ended yet.
    static std::optional<control::RestartReason> reason(const Ending& ending);
    bool is_looping(TimePoint now) const;
    /// Starts in a row that failed before they were ready.
    unsigned failed_starts() const { return past_.failed_starts; }

    /// What has happened in it.
    struct Memory {
        std::vector<TimePoint> failures;  ///< the last `loop_failures` of them
        unsigned in_a_row = 0;            ///< failures since the last forgiveness
        unsigned waits = 0;               ///< those of them that cost a wait
        unsigned failed_starts = 0;       ///< see `failed_starts()`
        bool operator==(const Memory&) const = default;
    };
    const Memory& memory() const { return past_; }
    void recall(Memory memory) { past_ = std::move(memory); }

 private:
    RestartPolicy policy_;
    Memory past_;
};

}  // namespace edgeproxy::master
