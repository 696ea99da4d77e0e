// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/worker.hpp"

#include <algorithm>
#include <array>

namespace edgeproxy::master {

void Countdown::start(milliseconds length, TimePoint now, bool running) {
    now_.left = length;
    now_.since = running ? std::optional(now) : std::nullopt;
}

void Countdown::pause(TimePoint now) {
    if (!now_.left || !now_.since) return;
    const auto used = std::chrono::duration_cast<milliseconds>(now - *now_.since);
    now_.left = std::max(milliseconds(0), *now_.left - used);
    now_.since.reset();
}

void Countdown::resume(TimePoint now) {
    if (now_.left && !now_.since) now_.since = now;
}

std::optional<TimePoint> Countdown::due() const {
    if (!now_.left || !now_.since) return std::nullopt;
    return *now_.since + *now_.left;
}

const char* word(WorkerState state) {
    static constexpr std::array<const char*, 6> words{"starting", "ready", "suspect", "draining", "stopping", "dead"};
    return words[static_cast<std::size_t>(state)];
}

Worker::Worker(WorkerPolicy policy, TimePoint now, bool clocks_run) : policy_(policy), clocks_run_(clocks_run) {
    clock_.start(policy_.start_timeout, now, clocks_run_);
}

Worker::Memory Worker::memory() const {
    return {state_, end_, clocks_run_, unhealthy_, ready_since_, clock_.memory(), health_.memory()};
}

void Worker::recall(const Memory& memory) {
    state_ = memory.state;
    end_ = memory.end;
    clocks_run_ = memory.clocks_run;
    unhealthy_ = memory.unhealthy;
    ready_since_ = memory.ready_since;
    clock_.recall(memory.clock);
    health_.recall(memory.health);
}

std::optional<TimePoint> Worker::due() const {
    const auto a = clock_.due();
    const auto b = health_.due();
    if (a && b) return std::min(*a, *b);
    return a ? a : b;
}

WorkerAction Worker::on(WorkerEvent event, TimePoint now) {
    if (state_ == WorkerState::dead) return WorkerAction::nothing;
    switch (event) {
        case WorkerEvent::exited:
            state_ = WorkerState::dead;
            clock_.stop();
            health_.stop();
            return WorkerAction::bury;
        case WorkerEvent::kill:
            return stop(WorkerEnd::killed, WorkerAction::send_kill, policy_.kill_again, now);
        case WorkerEvent::stop:
            if (state_ == WorkerState::stopping) return WorkerAction::nothing;
            return stop(WorkerEnd::asked, WorkerAction::send_stop, policy_.stop_grace_period, now);
        case WorkerEvent::deadline:
            return overdue(now);
        case WorkerEvent::drain:
            return drain(policy_.drain_timeout, now);
        case WorkerEvent::proxy_lost:
        case WorkerEvent::proxy_back:
            clocks(event == WorkerEvent::proxy_back, now);
            return WorkerAction::nothing;
        default:
            return serving(event, now);
    }
}

WorkerAction Worker::drain(milliseconds timeout, TimePoint now) {
    if (state_ == WorkerState::starting) {
        return stop(WorkerEnd::asked, WorkerAction::send_stop, policy_.stop_grace_period, now);
    }
    if (state_ != WorkerState::ready && state_ != WorkerState::suspect) return WorkerAction::nothing;
    return begin_drain(WorkerEnd::asked, timeout, now);
}

WorkerAction Worker::begin_drain(WorkerEnd end, milliseconds timeout, TimePoint now) {
    state_ = WorkerState::draining;
    end_ = end;
    health_.stop();
    clock_.start(timeout + policy_.drain_margin, now, clocks_run_);
    return WorkerAction::announce_drain;
}

// What the proxy tells about a worker that lives.
WorkerAction Worker::serving(WorkerEvent event, TimePoint now) {
    const bool up = is_up();
    if (event == WorkerEvent::answered && state_ == WorkerState::starting) {
        state_ = WorkerState::ready;
        ready_since_ = now;
        clock_.stop();
    } else if (event == WorkerEvent::answered && up) {
        // A new proxy's first word: what an earlier one thought of it is void.
        state_ = WorkerState::ready;
        unhealthy_ = false;
        health_.stop();
        clock_.stop();
    } else if (event == WorkerEvent::suspect && state_ == WorkerState::ready) {
        state_ = WorkerState::suspect;
    } else if (event == WorkerEvent::resumed && state_ == WorkerState::suspect) {
        state_ = WorkerState::ready;
    } else if (event == WorkerEvent::unhealthy && up && !unhealthy_) {
        unhealthy_ = true;
        health_.start(policy_.health_kill_after, now, clocks_run_);
    } else if (event == WorkerEvent::healthy) {
        unhealthy_ = false;
        health_.stop();
    } else if (event == WorkerEvent::hung && (up || state_ == WorkerState::draining)) {
        return stop(WorkerEnd::hung, WorkerAction::send_abort, policy_.abort_grace, now);
    } else if (event == WorkerEvent::drained && state_ == WorkerState::draining) {
        return stop(end_, WorkerAction::send_stop, policy_.stop_grace_period, now);
    }
    return WorkerAction::nothing;
}

WorkerAction Worker::overdue(TimePoint now) {
    // A timer that was set for an earlier state comes too soon and means nothing.
    if (!due() || *due() > now) return WorkerAction::nothing;
    switch (state_) {
        case WorkerState::starting:
            return stop(WorkerEnd::start_timeout, WorkerAction::send_abort, policy_.abort_grace, now);
        case WorkerState::ready:
        case WorkerState::suspect:
            if (const auto answer = clock_.due(); answer && *answer <= now)
                return stop(WorkerEnd::hung, WorkerAction::send_abort, policy_.abort_grace, now);
            return begin_drain(WorkerEnd::unhealthy, policy_.drain_timeout, now);
        case WorkerState::draining:
            return stop(end_, WorkerAction::send_stop, policy_.stop_grace_period, now);
        case WorkerState::stopping:
            return stop(end_, WorkerAction::send_kill, policy_.kill_again, now);
        case WorkerState::dead:
            break;
    }
    return WorkerAction::nothing;
}

void Worker::introduce(TimePoint now, bool waits) {
    if (is_up()) clock_.start(policy_.start_timeout, now, clocks_run_ && !waits);
}

void Worker::postpone(TimePoint now) {
    const bool answers = is_up() && clock_.due();
    if (state_ == WorkerState::starting || answers) clock_.start(policy_.start_timeout, now, clocks_run_);
    if (health_.due()) health_.start(policy_.health_kill_after, now, clocks_run_);
}

WorkerAction Worker::stop(WorkerEnd end, WorkerAction action, milliseconds grace, TimePoint now) {
    if (end_ == WorkerEnd::unasked) end_ = end;
    state_ = WorkerState::stopping;
    health_.stop();
    clock_.start(grace, now, true);  // signals need no proxy
    return action;
}

void Worker::clocks(bool run, TimePoint now) {
    clocks_run_ = run;
    if (run) {
        clock_.resume(now);
        health_.resume(now);
        return;
    }
    if (state_ != WorkerState::stopping) clock_.pause(now);
    health_.pause(now);
}

}  // namespace edgeproxy::master
