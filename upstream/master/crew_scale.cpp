// SPDX-License-Identifier: Apache-2.0
// Crew: how the number of workers changes, by hand, by the settings or by itself.
#include <fmt/format.h>

#include <algorithm>

#include "config/host.hpp"
#include "upstream/master/crew.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {

void Crew::scale(unsigned workers) {
    if (retired_) return;
    const unsigned before = std::exchange(wanted_, std::clamp(workers, 1u, config::most_workers));
    while (seats_.size() < wanted_) seats_.emplace_back(restart_policy(pool()));
    rolling_.resize(seats_.size());
    for (std::uint32_t slot = 0; slot < wanted_; ++slot) {
        if (!seats_[slot].worker && !seats_[slot].next_start) seats_[slot].next_start = now();
    }
    want_outdated_from(before);
    retire_from(wanted_);
    shrink();
    if (!started_) return;
    if (before != wanted_) {
        workplace_.log.info("scale", fmt::format("pool {}: {} workers wanted, not {}", pool().name, wanted_, before),
                            {{"pool", pool().name}, {"workers", wanted_}});
        workplace_.counted();
    }
    start_due();
    publish();
}

void Crew::pin(unsigned workers) {
    pinned_ = true;
    scale(workers);
}

void Crew::retire() {
    retired_ = true;
    wanted_ = 0;
    tell_verdict({pool().name, false, rolling_.replaced(), "the pool is being removed", {}});
    tell_start({pool().name, false, 0, "the pool is being removed", {}});
    retire_from(0);
    shrink();
    arm();
    publish();
}

// New places while a roll is under way whose settings have not worked yet: their workers start as it worked before, and
// are part of the roll.
void Crew::want_outdated_from(unsigned first) {
    if (rolling_.idle() || !proven_.pool || proven_.starts_like(plan_)) return;
    for (std::uint32_t slot = first; slot < wanted_; ++slot) rolling_.want(slot, control::RestartReason::reload);
}

// Nothing starts in these slots any more, and what is there goes.
void Crew::retire_from(unsigned first) {
    for (std::uint32_t slot = first; slot < seats_.size(); ++slot) {
        Seat& seat = seats_[slot];
        seat.next_start.reset();
        rolling_.forget(slot);
        if (seat.worker) drain(*seat.worker, control::DrainReason::scale);
        if (seat.successor) drain(*seat.successor, control::DrainReason::scale);
        if (seat.leaving) drain(*seat.leaving, control::DrainReason::scale);
    }
    if (rolling_.idle()) tell_verdict({pool().name, true, rolling_.replaced(), {}, {}});
}

void Crew::shrink() {
    const auto empty = [](const Seat& seat) { return !seat.worker && !seat.successor && !seat.leaving; };
    while (seats_.size() > wanted_ && empty(seats_.back())) seats_.pop_back();
    rolling_.resize(seats_.size());
}

// ---- by the settings
// --------------------------------------------------------------------------------------------------------

unsigned Crew::wanted_by(const config::Pool& pool) const {
    const config::Autoscale& limits = pool.autoscale;
    return limits.max == 0 ? pool.workers : std::clamp(wanted_, limits.min, limits.max);
}

control::PoolScale Crew::scale_told() const {
    const config::Autoscale& limits = pool().autoscale;
    return {pool().name, wanted_, limits.max == 0 ? 0 : limits.min, limits.max, pinned_, decisions_};
}

// ---- by itself
// --------------------------------------------------------------------------------------------------------------

bool Crew::is_settled() const {
    const auto is_ready = [](const Seat& seat) {
        return seat.worker && seat.worker->machine.state() == WorkerState::ready;
    };
    return rolling_.idle() && std::all_of(seats_.begin(), seats_.begin() + wanted_, is_ready);
}

Scaling::Sample Crew::sample(const control::PoolLoad& load) const {
    Scaling::Sample out;
    out.now = now();
    out.workers = wanted_;
    out.settled = is_settled();
    out.requests = load.requests;
    out.waited_us = load.waited_us;
    out.waiting = load.waiting;
    out.room = pool().max_in_flight;
    const config::MemoryUse memory = config::memory_use();
    out.memory_used = memory.used;
    out.memory_limit = memory.limit;
    for (const Seat& seat : seats_) {
        if (!seat.worker) continue;
        out.in_flight += seat.worker->stats.in_flight;
        out.worker_bytes = std::max(out.worker_bytes, seat.worker->rss_bytes);
    }
    return out;
}

void Crew::hear_load(const control::PoolLoad& load) {
    if (!started_ || stopping_ || retired_ || pinned_ || pool().autoscale.max == 0) return;
    const Scaling::Verdict verdict = scaling_.observe(sample(load), pool().autoscale);
    if (!verdict.decision) return;
    const char* const direction = control::direction(*verdict.decision);
    const char* const why = control::reason(*verdict.decision);
    ++decisions_[static_cast<std::size_t>(*verdict.decision)];
    workplace_.log.info(
        "autoscale",
        fmt::format("pool {}: {} workers, {} by autoscaling ({})", pool().name, verdict.workers, direction, why),
        {{"pool", pool().name}, {"workers", verdict.workers}, {"decision", direction}, {"reason", why}});
    if (verdict.workers != wanted_) return scale(verdict.workers);
    workplace_.counted();
}

// ---- the first workers
// -----------------------------------------------------------------------------------------------------

void Crew::await_start(RollTold told) {
    awaited_.push_back(std::move(told));
    if (stopping_ || retired_) return tell_start({pool().name, false, 0, "the pool is being stopped", {}});
    if (state() == control::PoolState::ok) tell_start({pool().name, true, wanted_, {}, {}});
}

void Crew::tell_start(const RollVerdict& verdict) {
    for (const RollTold& told : std::exchange(awaited_, {})) told(verdict);
}

}  // namespace edgeproxy::master
