// SPDX-License-Identifier: Apache-2.0
// Roster: workers that do not read what they are sent.
#include "upstream/roster.hpp"

namespace edgeproxy::upstream {

// What the reactors found since the last look is judged, and the next look begins.
void Roster::look_for_hangs() {
    if (!config_.managed || config_.hang.suspect_after.count() == 0) return;
    const io::TimePoint now = clock_.now();
    bool watched = false;  // somebody has a request there
    for (const EndpointStatus& status : status()) {
        const bool serves = status.state == EndpointState::ready || status.state == EndpointState::suspect ||
                            status.state == EndpointState::draining;
        if (status.identity.incarnation == 0 || !serves || !status.identity.address.is_unix()) continue;
        watched = watched || status.in_flight > 0;
        const HangWatch::Look look{census_.unread(status.identity.id), status.in_flight, status.limit};
        judge(status, watches_[status.identity.incarnation].look(look, now, config_.hang));
    }
    const std::uint64_t round = census_.begin();
    if (watched) pool_.look_for_unread(round, config_.hang.suspect_after);
}

void Roster::judge(const EndpointStatus& status, HangWatch::Verdict verdict) {
    const control::Incarnation who = status.identity.incarnation;
    if (verdict == HangWatch::Verdict::same) return;
    if (verdict == HangWatch::Verdict::suspect) {
        worker_hung(who, true);
        pool_.move_unread(status.identity.id, is_stopped(status.identity.pid));
        if (events_.suspect) events_.suspect(status.identity);
        return;
    }
    if (Endpoint* const endpoint = endpoint_of(who)) endpoint->condemn();
    if (events_.hung) events_.hung(who);
}

void Roster::unread(std::uint64_t round, const std::vector<EndpointId>& found) {
    census_.count(round, found);
}

void Roster::untouched(control::Incarnation incarnation) {
    if (Endpoint* const endpoint = endpoint_of(incarnation)) census_.count_one(endpoint->id());
}

void Roster::worker_reads(control::Incarnation incarnation) {
    const auto watch = watches_.find(incarnation);
    if (watch == watches_.end() || !watch->second.reads()) return;
    worker_hung(incarnation, false);
    if (events_.resumed) events_.resumed(incarnation);
}

}  // namespace edgeproxy::upstream
