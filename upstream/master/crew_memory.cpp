// SPDX-License-Identifier: Apache-2.0
// Crew: how a pool is handed over to another program in the same process.
#include <fmt/format.h>

#include <algorithm>

#include "upstream/master/crew.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {

std::vector<control::Incarnation> Crew::serving() const {
    std::vector<control::Incarnation> all;
    for (const Seat& seat : seats_) {
        if (seat.worker && seat.worker->machine.state() == WorkerState::ready) all.push_back(seat.worker->id);
    }
    return all;
}

std::string Crew::half_done(bool& lasting) const {
    lasting = false;
    if (retired_) return fmt::format("pool {} is being removed", pool().name);
    const auto moving = [](const Seat& seat) { return seat.successor || seat.leaving; };
    const bool fewer = seats_.size() > wanted_;
    if (!rolling_.idle() || renew_waits_ || std::any_of(seats_.begin(), seats_.end(), moving) || fewer)
        return fmt::format("workers of pool {} are being replaced", pool().name);
    const auto differs = [this](const IncarnationProcess* one) { return !one->plan.starts_like(plan_); };
    const auto all = processes();
    const bool proven = !proven_.pool || proven_.starts_like(plan_);
    lasting = !proven || std::any_of(all.begin(), all.end(), differs);
    if (!lasting) return {};
    return fmt::format(
        "pool {} runs on settings of before, since workers with those of the configuration did not come "
        "up; reload with some that work",
        pool().name);
}

Crew::Memory Crew::memory() const {
    Memory out;
    out.pool = pool().name;
    out.wanted = wanted_;
    for (const Seat& seat : seats_) {
        out.seats.push_back({seat.slot.memory(), seat.next_start, seat.restarts, seat.pending_reason, {}});
        if (seat.worker) out.seats.back().worker = seat.worker->memory();
    }
    out.ever_ready = ever_ready_;
    out.broken = broken_;
    out.pinned = pinned_;
    out.decisions = decisions_;
    out.start_failure = start_failure_;
    out.last_reason = last_reason_;
    out.last_lines = last_lines_;
    return out;
}

void Crew::resume(const Memory& memory) {
    proxy_ready_ = started_ = true;
    wanted_ = memory.wanted;
    seats_.clear();
    for (const SeatMemory& one : memory.seats) {
        Seat& seat = seats_.emplace_back(restart_policy(pool()));
        const auto slot = static_cast<std::uint32_t>(seats_.size() - 1);
        seat.slot.recall(one.slot);
        seat.next_start = one.next_start;
        seat.restarts = one.restarts;
        seat.pending_reason = one.pending_reason;
        if (!one.worker) continue;
        seat.worker = adopt_incarnation(workplace_, plan_, slot, policy_, *one.worker);
        workplace_.guard(seat.worker->process.pid, true);
    }
    rolling_.resize(seats_.size());
    ever_ready_ = memory.ever_ready;
    if (ever_ready_) proven_ = plan_;
    broken_ = memory.broken;
    pinned_ = memory.pinned;
    decisions_ = memory.decisions;
    start_failure_ = memory.start_failure;
    last_reason_ = memory.last_reason;
    last_lines_ = memory.last_lines;
    published_ = state();
    start_due();
}

}  // namespace edgeproxy::master
