// SPDX-License-Identifier: Apache-2.0
// Crew: how workers are replaced while they serve.
#include <fmt/format.h>

#include <algorithm>

#include "upstream/master/crew.hpp"
#include "upstream/master/time.hpp"
#include "upstream/master/usage.hpp"

namespace edgeproxy::master {
namespace {

constexpr std::size_t told_lines = control::max_lines;

control::DrainReason drain_reason(control::RestartReason reason) {
    switch (reason) {
        case control::RestartReason::reload:
            return control::DrainReason::reload;
        case control::RestartReason::recycle:
            return control::DrainReason::recycle;
        case control::RestartReason::health:
            return control::DrainReason::health;
        default:
            return control::DrainReason::request;
    }
}

}  // namespace

// ---- orders
// -------------------------------------------------------------------------------------------------------------

void Crew::roll(control::RestartReason reason, RollTold told) {
    if (told) asked_.push_back({std::move(told), std::nullopt});
    if (stopping_ || retired_) return tell_verdict({pool().name, false, 0, "the pool is being stopped", {}});
    if (!started_) return tell_verdict({pool().name, true, 0, {}, {}});
    workplace_.log.info("roll", fmt::format("pool {}: its workers are replaced ({})", pool().name, word(reason)),
                        {{"pool", pool().name}, {"reason", word(reason)}});
    for (std::uint32_t slot = 0; slot < wanted_; ++slot) rolling_.want(slot, reason);
    start_due();
    publish();
}

bool Crew::roll_one(std::uint32_t slot, control::RestartReason reason, RollTold told) {
    if (slot >= wanted_) return false;
    if (told) asked_.push_back({std::move(told), slot});
    if (stopping_ || !started_) {
        tell_verdict({pool().name, false, 0, "the pool is not running", {}});
        return true;
    }
    rolling_.want(slot, reason);
    start_due();
    publish();
    return true;
}

// ---- replacing
// -----------------------------------------------------------------------------------------------------------

// A step needs a proxy: nobody else can tell that the successor serves.
void Crew::roll_on() {
    while (started_ && !stopping_ && proxy_ready_ &&
           count(WorkerState::starting) < std::max(1u, pool().start_parallel)) {
        const auto slot = rolling_.next(std::max(1u, pool().surge));
        if (!slot) return;
        begin_replacement(*slot);
    }
}

void Crew::begin_replacement(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    const control::RestartReason reason = *rolling_.running(slot);
    if (!seat.worker) {
        seat.next_start.reset();
        seat.pending_reason = reason;
        return start_in(slot);
    }
    const WorkerState state = seat.worker->machine.state();
    if (state == WorkerState::draining || state == WorkerState::stopping)
        return;  // its successor comes when it is gone
    if (pool().surge == 0) return drain(*seat.worker, drain_reason(reason));
    std::string error;
    seat.successor = launch(slot, plan_, error);
    if (!seat.successor)
        roll_failed(slot, control::worker_name(pool().name, slot) + " cannot be started: " + error, {});
}

// The successor answers: from now on it is the worker.
void Crew::promote(Seat& seat) {
    const std::uint32_t slot = seat.successor->slot;
    const auto reason = rolling_.running(slot).value_or(control::RestartReason::request);
    seat.leaving = std::move(seat.worker);
    seat.worker = std::move(seat.successor);
    ++seat.restarts[static_cast<std::size_t>(reason)];
    if (seat.leaving) drain(*seat.leaving, drain_reason(reason));
}

// A worker or a successor, already out of its place.
void Crew::worker_died(std::uint32_t slot, const IncarnationProcess& worker, const Ending& ending,
                       const std::string& how) {
    Seat& seat = seats_[slot];
    if (!seat.worker && seat.successor) {  // died before it was to: the successor need not wait for it
        seat.worker = std::move(seat.successor);
        return;
    }
    if (stopping_ || !worker.replaces || ending.was_ready || !rolling_.running(slot)) return;
    if (seat.worker) ++seat.restarts[static_cast<std::size_t>(control::RestartReason::start_failed)];
    const std::string name = control::worker_name(pool().name, slot);
    roll_failed(slot, fmt::format("the new {} did not come up: {} ({})", name, how, worker.journey.text(now())),
                worker.lines.last(told_lines));
}

void Crew::roll_failed(std::uint32_t slot, const std::string& why, std::vector<std::string> lines) {
    const bool recycle = rolling_.running(slot) == control::RestartReason::recycle;
    const unsigned replaced = rolling_.replaced();
    rolling_.failed(slot);
    recycle_again_ = now() + recycle_pause;
    workplace_.log.error(
        recycle ? "recycle_failed" : "roll_failed",
        fmt::format("pool {}: {}; {} replaced, the others are kept", pool().name, why, replaced),
        {{"pool", pool().name}, {"worker", control::worker_name(pool().name, slot)}, {"replaced", replaced}});
    tell_verdict({pool().name, false, replaced, why, std::move(lines)});
}

void Crew::replaced(std::uint32_t slot) {
    if (!rolling_.running(slot)) return;
    rolling_.done(slot);
    if (!rolling_.idle()) return;
    workplace_.log.info("rolled", fmt::format("pool {}: {} replaced", pool().name, rolling_.replaced()),
                        {{"pool", pool().name}, {"replaced", rolling_.replaced()}});
    tell_verdict({pool().name, true, rolling_.replaced(), {}, {}});
}

// Several may have asked meanwhile: who asked for one worker hears of that one only.
void Crew::tell_verdict(const RollVerdict& verdict) {
    for (const Asked& one : std::exchange(asked_, {})) {
        RollVerdict own = verdict;
        if (one.slot) own.replaced = verdict.replaced > 0 && rolling_.was_replaced(*one.slot) ? 1 : 0;
        one.told(own);
    }
}

// ---- recycling
// -----------------------------------------------------------------------------------------------------------

void Crew::look_at_age(std::uint32_t slot) {
    IncarnationProcess& worker = *seats_[slot].worker;
    if (stopping_ || slot >= wanted_ || worker.machine.state() != WorkerState::ready || now() < recycle_again_) return;
    if (rolling_.running(slot) || rolling_.wanted(slot)) return;
    if (pool().recycle.memory > 0) worker.recycling.measured(measure(worker.process.pid).rss_bytes);
    const Recycling::Due due = worker.recycling.due(worker.journey.begun, now());
    if (due == Recycling::Due::no) return;
    const std::string name = control::worker_name(pool().name, slot);
    workplace_.log.info("worker_recycle", fmt::format("{} is replaced: {}", name, word(due)),
                        {{"pool", pool().name}, {"worker", name}, {"requests", worker.recycling.requests()}});
    rolling_.want(slot, control::RestartReason::recycle);
    start_due();
}

}  // namespace edgeproxy::master
