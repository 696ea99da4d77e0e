// SPDX-License-Identifier: Apache-2.0
#include "upstream/pools.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::upstream {
namespace {

control::PoolLoad load_of(const Pool& pool) {
    constexpr std::uint64_t ns_per_us = 1000;
    control::PoolLoad load{pool.name(), 0, 0, pool.waiting()};
    for (std::size_t reactor = 0; reactor < pool.reactors().size(); ++reactor) {
        const PoolCells& cells = pool.cells(reactor);
        load.requests += cells.admitted_at_once.value();
        for (const Cell& bucket : cells.queue_duration.buckets) load.requests += bucket.value();
        load.waited_us += cells.queue_duration.sum.value() / ns_per_us;
    }
    return load;
}

}  // namespace

Pools::Pools(std::span<io::Reactor* const> reactors, const io::Clock& clock, config::Log& log, Outside outside)
    : reactors_(reactors.begin(), reactors.end()), clock_(clock), log_(log), outside_(std::move(outside)) {}

Pools::~Pools() = default;

Pool* Pools::find(std::string_view name) const {
    const std::lock_guard lock(changing_);
    const auto it = entries_.find(name);
    return it != entries_.end() ? &it->second->pool : nullptr;
}

std::vector<const Pools::Entry*> Pools::all() const {
    const std::lock_guard lock(changing_);
    std::vector<const Entry*> list;
    for (const auto& [name, entry] : entries_) list.push_back(entry.get());
    return list;
}

Roster* Pools::roster(std::string_view name) const {
    const auto it = entries_.find(name);
    return it != entries_.end() ? it->second->roster.get() : nullptr;
}

// ---- configuration

void Pools::configure(const std::vector<config::Pool>& pools, const Tls& tls) {
    std::set<std::string> hosts;
    for (const auto& config : pools) {
        for (const auto& endpoint : config.endpoints) {
            if (!endpoint.address.is_unix() && !endpoint.address.is_literal()) hosts.insert(endpoint.address.host);
        }
        const auto found = tls.find(config.name);
        const TlsOfPool its_tls = found != tls.end() ? found->second : TlsOfPool{};
        if (Roster* const known = roster(config.name)) {
            known->configure(config, its_tls);
        } else {
            open(config, its_tls);
        }
    }
    names_.set(hosts);
}

void Pools::close_others(const std::vector<config::Pool>& pools) {
    for (const auto& known : entries_) {
        const bool stays =
            std::any_of(pools.begin(), pools.end(), [&](const auto& p) { return p.name == known.first; });
        if (!stays) known.second->roster->close();
    }
}

Pools::Entry& Pools::open(const config::Pool& config, const TlsOfPool& tls) {
    auto entry = std::make_unique<Entry>(config.name, PoolSettings::from(config), reactors_, reports_to(config.name));
    entry->roster = std::make_unique<Roster>(entry->pool, config, tls, clock_, log_, last_id_, outside_.events);
    const std::lock_guard lock(changing_);
    return *entries_.emplace(config.name, std::move(entry)).first->second;
}

// From a reactor over to the control thread, where the roster is looked up again.
PoolReports Pools::reports_to(const std::string& name) {
    const auto report = [this, name](void (Roster::*what)(EndpointId)) {
        return [this, name, what, alive = std::weak_ptr<void>(alive_)](EndpointId id) {
            outside_.post([this, name, what, alive, id] {
                if (alive.expired()) return;
                if (Roster* const found = roster(name)) (found->*what)(id);
            });
        };
    };
    const auto unread = [this, name, alive = std::weak_ptr<void>(alive_)](std::uint64_t round,
                                                                          std::vector<EndpointId> found) {
        outside_.post([this, name, alive, round, found = std::move(found)] {
            if (alive.expired()) return;
            if (Roster* const roster_found = roster(name)) roster_found->unread(round, found);
        });
    };
    return {.emptied = report(&Roster::emptied),
            .refused = report(&Roster::refused),
            .failing = report(&Roster::failing),
            .was_cut = report(&Roster::was_cut),
            .unread = unread};
}

void Pools::close() {
    for (const auto& [name, entry] : entries_) entry->roster->close();
}

// ---- messages

void Pools::worker_up(const control::WorkerUp& up) {
    Roster* const found = roster(up.pool);
    if (found == nullptr) return;
    incarnations_[up.incarnation] = found;
    found->worker_up(up);
}

void Pools::worker_drain(const control::WorkerDrain& drain) {
    if (Roster* const found = roster_of(drain.incarnation))
        found->worker_drain(drain.incarnation, drain.timeout, drain.reason);
}

void Pools::worker_gone(const control::WorkerGone& gone) {
    if (Roster* const found = roster_of(gone.incarnation)) found->worker_gone(gone.incarnation);
    incarnations_.erase(gone.incarnation);
}

void Pools::pool_status(const control::PoolStatus& status) {
    if (Roster* const found = roster(status.pool)) found->pool_status(status.state);
}

void Pools::worker_ready(control::Incarnation incarnation) {
    if (Roster* const found = roster_of(incarnation)) found->worker_ready(incarnation);
}

void Pools::worker_reads(control::Incarnation incarnation) {
    if (Roster* const found = roster_of(incarnation)) found->worker_reads(incarnation);
}

Roster* Pools::roster_of(control::Incarnation incarnation) const {
    const auto it = incarnations_.find(incarnation);
    return it != incarnations_.end() ? it->second : nullptr;
}

// ---- time

void Pools::tick() {
    for (const auto& [name, entry] : entries_) entry->roster->tick();
}

std::vector<std::string> Pools::names_due() {
    return names_.due(clock_.now());
}

void Pools::resolved(const std::string& host, const Resolved& result) {
    names_.answered(host, !result.addresses.empty(), clock_.now());
    if (result.addresses.empty()) {
        log_.warn("resolve_failed", "cannot resolve " + host + ": " + result.error + "; the last addresses are kept",
                  {{"host", host}, {"error", result.error}});
        return;
    }
    for (const auto& [name, entry] : entries_) entry->roster->resolved(host, result.addresses);
}

// ---- looking

control::Stats Pools::stats() const {
    control::Stats stats;
    for (const auto& [name, entry] : entries_) {
        for (const EndpointStatus& status : entry->roster->status()) {
            if (status.identity.incarnation == 0 || stats.workers.size() == control::max_stats) continue;
            stats.workers.push_back({.incarnation = status.identity.incarnation,
                                     .requests = status.requests,
                                     .in_flight = std::uint64_t{status.in_flight} + status.tunnels});
        }
        const bool scales = entry->roster->config().autoscale.max != 0;
        if (scales && stats.loads.size() < control::max_loads) stats.loads.push_back(load_of(entry->pool));
    }
    return stats;
}

control::EndpointsSeen Pools::seen() const {
    control::EndpointsSeen all;
    std::size_t texts = 0;
    for (const auto& [name, entry] : entries_) {
        for (const EndpointStatus& status : entry->roster->status()) {
            const bool ejected = status.ejected && status.state == EndpointState::ready;
            if (status.identity.incarnation != 0 && !ejected) continue;
            control::EndpointSeen one{.pool = name,
                                      .endpoint = status.identity.name,
                                      .address = status.identity.address.to_string(),
                                      .state = ejected ? "ejected" : word(status.state),
                                      .requests = status.requests,
                                      .in_flight = std::uint64_t{status.in_flight} + status.tunnels};
            texts += one.pool.size() + one.endpoint.size() + one.address.size();
            if (texts > control::max_message / 2 || all.endpoints.size() == control::max_seen) return all;
            all.endpoints.push_back(std::move(one));
        }
    }
    return all;
}

std::uint64_t Pools::busy() const {
    std::uint64_t sum = 0;
    for (const auto& [name, entry] : entries_) sum += entry->roster->busy();
    return sum;
}

}  // namespace edgeproxy::upstream
