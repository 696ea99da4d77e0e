// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/slot.hpp"

#include <algorithm>
#include <cmath>

namespace edgeproxy::master {

RestartPolicy restart_policy(const config::Pool& pool) {
    RestartPolicy policy;
    policy.backoff_min = pool.restart.backoff_min;
    policy.backoff_max = pool.restart.backoff_max;
    policy.loop_failures = pool.restart.crash_loop_failures;
    policy.loop_window = pool.restart.crash_loop_window;
    return policy;
}

milliseconds Slot::on_end(const Ending& ending, TimePoint now, double jitter) {
    if (ending.end == WorkerEnd::asked || ending.end == WorkerEnd::killed) return {};
    if (ending.was_ready && ending.ready_for >= policy_.reset_after) past_.in_a_row = past_.waits = 0;
    if (!ending.was_ready) ++past_.failed_starts;

    past_.failures.push_back(now);
    if (past_.failures.size() > policy_.loop_failures) past_.failures.erase(past_.failures.begin());

    if (past_.in_a_row++ == 0 && ending.was_ready) return {};
    const unsigned doublings = std::min(past_.waits++, 30u);
    const double wait = std::min(static_cast<double>(policy_.backoff_min.count()) * std::exp2(doublings),
                                 static_cast<double>(policy_.backoff_max.count()));
    return milliseconds(std::llround(wait * (1.0 + 0.2 * std::clamp(jitter, -1.0, 1.0))));
}

std::optional<control::RestartReason> Slot::reason(const Ending& ending) {
    switch (ending.end) {
        case WorkerEnd::asked:
        case WorkerEnd::killed:
            return std::nullopt;
        case WorkerEnd::hung:
        case WorkerEnd::unhealthy:
            return control::RestartReason::health;
        case WorkerEnd::start_timeout:
            return control::RestartReason::start_failed;
        case WorkerEnd::unasked:
            return ending.was_ready ? control::RestartReason::crash : control::RestartReason::start_failed;
    }
    return std::nullopt;
}

bool Slot::is_looping(TimePoint now) const {
    if (policy_.loop_failures == 0) return false;
    if (past_.failed_starts >= policy_.loop_failures) return true;
    return past_.failures.size() >= policy_.loop_failures && now - past_.failures.front() <= policy_.loop_window;
}

}  // namespace edgeproxy::master
