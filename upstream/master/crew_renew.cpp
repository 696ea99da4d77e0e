// SPDX-License-Identifier: Apache-2.0
// Crew: the code has changed under the workers, and nobody wants an answer of the old one any more.
#include <algorithm>

#include "upstream/master/crew.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

bool is_going(const IncarnationProcess& worker) {
    return worker.machine.state() == WorkerState::draining || worker.machine.state() == WorkerState::stopping;
}

}  // namespace

void Crew::renew() {
    if (stopping_ || retired_ || !started_) return;
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) rolling_.forget(slot);
    tell_verdict({pool().name, false, 0, "the files changed meanwhile: everything starts anew", {}});
    broken_ = false;
    last_reason_.clear();
    last_lines_.clear();
    news_ = true;
    renew_waits_ = false;
    for (Seat& seat : seats_) dismiss(seat);
    if (!renew_waits_) replace_dismissed();
    start_due();
    publish();
}

// No more requests from now on. What was leaving already, or has not served yet, has had its time: a place must get
// free.
void Crew::dismiss(Seat& seat) {
    for (const auto* gone : {&seat.leaving, &seat.successor}) {
        if (!*gone) continue;
        renew_waits_ = true;
        apply(**gone, (*gone)->machine.on(WorkerEvent::kill, now()));
    }
    if (!seat.worker) return;
    if (seat.worker->machine.state() == WorkerState::starting) {
        apply(*seat.worker, seat.worker->machine.on(WorkerEvent::kill, now()));
    } else {
        drain(*seat.worker, control::DrainReason::changed);
    }
}

// The dismissed worker ends what it has, beside the start of the new one.
void Crew::replace_dismissed() {
    for (std::uint32_t slot = 0; slot < wanted_; ++slot) {
        Seat& seat = seats_[slot];
        if (seat.worker && !is_going(*seat.worker)) continue;
        if (seat.worker) seat.leaving = std::move(seat.worker);
        seat.slot = Slot(restart_policy(pool()));
        seat.pending_reason = control::RestartReason::reload;
        seat.next_start = now();
    }
}

// Called after each end: goes on with a renewal that had to wait for it.
void Crew::renew_on() {
    const auto occupied = [](const Seat& seat) { return seat.leaving || seat.successor; };
    if (!renew_waits_ || stopping_ || std::any_of(seats_.begin(), seats_.end(), occupied)) return;
    renew_waits_ = false;
    replace_dismissed();
}

}  // namespace edgeproxy::master
