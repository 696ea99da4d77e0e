// SPDX-License-Identifier: Apache-2.0
#include "upstream/roster.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace edgeproxy::upstream {
namespace {

/// An external endpoint as the configuration (and the resolver) wants it.
struct Wanted {
    std::string name;
    config::Address address;
    std::uint32_t limit, weight;
    Transport transport;
    std::string authority;
};

std::string authority_of(const config::Address& address) {
    return address.is_unix() ? std::string("localhost") : address.to_string();
}

Transport transport_of(const config::Pool& pool, const config::Endpoint& endpoint,
                       std::shared_ptr<const tls::ClientContext> tls) {
    Transport transport;
    transport.http = endpoint.scheme == config::Scheme::h2c ? Transport::Http::two : http_of(pool.protocol);
    if (endpoint.scheme != config::Scheme::https) return transport;
    const std::string& server_name = config::Config::tls_of(pool, endpoint).server_name;
    transport.tls = std::move(tls);
    transport.host = !server_name.empty()         ? server_name
                     : endpoint.address.is_unix() ? std::string()
                                                  : endpoint.address.host;
    return transport;
}

/// Before the master says anything; it says nothing about external pools.
control::PoolState first_state(const config::Pool& config) {
    return config.managed ? control::PoolState::starting : control::PoolState::ok;
}

bool is_given_up(control::PoolState state) {
    return state == control::PoolState::crash_looping || state == control::PoolState::draining ||
           state == control::PoolState::stopped;
}

}  // namespace

/// An endpoint with everything that only the control thread knows about it.
struct Roster::Member {
    enum class Life : std::uint8_t { starting, ready, draining, gone };

    Endpoint endpoint;
    std::uint32_t weight = 1;
    Life life = Life::starting;
    bool warm = false;  ///< the process served before we knew it: no slow start
    bool hung = false;
    Health health;
    Ejection ejection;
    io::TimePoint refused_until{};
    io::TimePoint warm_at{};  ///< when its slow start ends
    io::TimePoint drain_deadline = io::never;
    bool drain_reported = false;
    std::optional<std::uint64_t> left_over;  ///< its drain was cut, and so much was left
    std::uint64_t list = 0;                  ///< leaving: the first list without it

    Member(EndpointIdentity identity, std::uint32_t limit, std::span<io::Reactor* const> reactors,
           std::span<EndpointCells> cells)
        : endpoint(std::move(identity), limit, reactors, cells) {}

    bool leaving() const { return life >= Life::draining; }
    bool sick(io::TimePoint now) const { return hung || !health.healthy() || refused_until > now; }
    bool is(const Wanted& wanted) const {
        return !endpoint.is_worker() && !leaving() && endpoint.name() == wanted.name &&
               endpoint.identity().address == wanted.address && endpoint.identity().transport == wanted.transport;
    }
};

Roster::Roster(Pool& pool, const config::Pool& config, const TlsOfPool& tls, const io::Clock& clock, config::Log& log,
               EndpointId& next_id, Events events)
    : pool_(pool),
      clock_(clock),
      log_(log),
      next_id_(next_id),
      events_(std::move(events)),
      state_(first_state(config)) {
    configure(config, tls);
}

Roster::~Roster() = default;

// ---- configuration

void Roster::configure(const config::Pool& config, const TlsOfPool& tls) {
    config_ = config;
    tls_ = tls;
    if (std::exchange(closed_, false)) state_ = first_state(config);
    for (auto& member : members_) {
        if (member->endpoint.is_worker()) member->endpoint.gate().set_limit(config_.max_in_flight);
    }
    reconcile();
    publish();
    weigh();
}

void Roster::resolved(const std::string& host, const std::vector<config::Address>& addresses) {
    if (addresses.empty() || std::exchange(names_[host], addresses) == addresses) return;
    reconcile();
    publish();
    weigh();
}

void Roster::close() {
    closed_ = true;
    state_ = control::PoolState::stopped;
    config_.endpoints.clear();
    reconcile();
    publish();
    weigh();
    pool_.fail_waiting();
}

// Adds what is wanted and missing, drains what is there and not wanted.
void Roster::reconcile() {
    std::vector<Wanted> wanted;
    for (std::size_t i = 0; i < config_.endpoints.size(); ++i) {
        const config::Endpoint& entry = config_.endpoints[i];
        const std::uint32_t limit = entry.max_in_flight != 0 ? entry.max_in_flight : config_.max_in_flight;
        const std::string name = entry.shown_name();
        const Transport transport = transport_of(config_, entry, i < tls_.size() ? tls_[i] : nullptr);
        if (entry.address.is_unix() || entry.address.is_literal()) {
            wanted.push_back({name, entry.address, limit, entry.weight, transport, authority_of(entry.address)});
            continue;
        }
        for (config::Address address : names_[entry.address.host]) {
            address.port = entry.address.port;
            wanted.push_back({name, address, limit, entry.weight, transport, authority_of(entry.address)});
        }
    }
    for (auto& member : members_) {
        const bool keep = std::any_of(wanted.begin(), wanted.end(), [&](const Wanted& w) { return member->is(w); });
        if (keep || member->endpoint.is_worker() || member->leaving()) continue;
        member->drain_deadline = io::deadline_after(clock_.now(), config_.drain_timeout);
        leave(*member, EndpointState::draining);
    }
    for (const Wanted& want : wanted) {
        const auto it = std::find_if(members_.begin(), members_.end(), [&](auto& m) { return m->is(want); });
        if (it != members_.end()) {
            const std::lock_guard lock(shown_);
            (*it)->weight = want.weight;
            (*it)->endpoint.gate().set_limit(want.limit);
            continue;
        }
        Member& member = add({.pool = pool_.name(),
                              .name = want.name,
                              .address = want.address,
                              .transport = want.transport,
                              .authority = want.authority},
                             want.limit, want.weight);
        member.life = Member::Life::ready;  // nobody starts it: believed until it fails
        apply(member);
    }
}

Roster::Member& Roster::add(EndpointIdentity identity, std::uint32_t limit, std::uint32_t weight) {
    identity.id = ++next_id_;
    const auto cells = cells_of(identity.name);
    auto member = std::make_unique<Member>(std::move(identity), limit, pool_.reactors(), cells);
    member->weight = weight;
    const std::lock_guard lock(shown_);
    return *members_.emplace_back(std::move(member));
}

std::span<EndpointCells> Roster::cells_of(const std::string& name) {
    const std::lock_guard lock(shown_);
    const auto [at, fresh] = cells_.try_emplace(name, pool_.reactors().size() + 1);
    for (EndpointCells& cells : at->second) {
        if (fresh) cells.name = at->first;
    }
    return at->second;
}

// ---- messages of the master

void Roster::worker_up(const control::WorkerUp& up) {
    if (find_worker(up.incarnation) != nullptr) return;
    Member& member = add({.pool = pool_.name(),
                          .name = control::worker_name(pool_.name(), up.slot),
                          .address = up.address,
                          .incarnation = up.incarnation,
                          .pid = up.pid,
                          .transport = {http_of(config_.protocol), nullptr, {}},
                          .authority = authority_of(up.address)},
                         config_.max_in_flight, 1);
    member.warm = up.replayed;
    publish();
    weigh();
}

void Roster::worker_drain(control::Incarnation incarnation, io::Duration timeout, control::DrainReason reason) {
    Member* const member = find_worker(incarnation);
    if (member == nullptr || member->leaving()) return;
    member->drain_deadline = clock_.now() + std::chrono::duration_cast<io::TimePoint::duration>(timeout);
    leave(*member, EndpointState::draining);
    publish();
    weigh();
    if (reason == control::DrainReason::changed) pool_.close_tunnels(member->endpoint.id());
    if (member->endpoint.gate().read().empty()) report_drained(*member);
}

void Roster::worker_gone(control::Incarnation incarnation) {
    Member* const member = find_worker(incarnation);
    if (member == nullptr) return;
    member->drain_reported = true;  // the master knows more than we could tell
    watches_.erase(incarnation);
    leave(*member, EndpointState::down);
    publish();
    weigh();
}

void Roster::pool_status(control::PoolState state) {
    state_ = state;
    weigh();
}

void Roster::rest(const std::string& name, bool resting) {
    if (resting) {
        resting_.insert(name);
    } else {
        resting_.erase(name);
    }
    for (auto& member : members_) {
        if (member->leaving() || member->endpoint.name() != name) continue;
        log(config::LogLevel::info, "endpoint_rests", resting ? "gets no new requests" : "gets requests again",
            *member);
        apply(*member);
    }
    weigh();
    if (!resting) pool_.pump(clock_.now());
}

// ---- verdicts

void Roster::worker_ready(control::Incarnation incarnation) {
    Member* const member = find_worker(incarnation);
    if (member == nullptr || member->life != Member::Life::starting) return;
    member->life = Member::Life::ready;
    log(config::LogLevel::info, "endpoint_ready", "takes requests", *member);
    become_ready(*member, !member->warm && !seasoned_.insert(member->endpoint.name()).second);
}

void Roster::worker_hung(control::Incarnation incarnation, bool hung) {
    Member* const member = find_worker(incarnation);
    if (member == nullptr || member->leaving() || std::exchange(member->hung, hung) == hung) return;
    log(config::LogLevel::warn, "endpoint_hung", hung ? "does not read its requests" : "reads again", *member);
    become_ready(*member, !hung);
}

void Roster::probed(EndpointId id, bool passed) {
    Member* const member = find(id);
    if (member == nullptr || member->leaving()) return;
    EndpointCells& counted = cells_of(member->endpoint.name()).back();
    (passed ? counted.probes_passed : counted.probes_failed).add();
    const Health::Policy policy{config_.health.unhealthy_after, config_.health.healthy_after};
    const auto verdict = member->health.observe(passed, policy);
    if (verdict == Health::Verdict::same) return;
    const bool healthy = verdict == Health::Verdict::became_healthy;
    log(config::LogLevel::warn, "endpoint_health", healthy ? "is healthy again" : "fails its health probes", *member);
    become_ready(*member, healthy);
    if (member->endpoint.is_worker() && events_.health_changed)
        events_.health_changed(member->endpoint.identity().incarnation, healthy);
}

// `cold`: begin with a small share, if somebody else can carry the rest meanwhile.
void Roster::become_ready(Member& member, bool cold) {
    const io::TimePoint now = clock_.now();
    const bool others = std::any_of(members_.begin(), members_.end(), [&](const auto& other) {
        return other.get() != &member && other->endpoint.gate().read().state() == EndpointState::ready;
    });
    member.warm_at = cold && others ? member.endpoint.begin_slow_start(now) : now;
    if (member.warm_at == now) member.endpoint.gate().set_cold(false);
    apply(member);
    weigh();
}

void Roster::emptied(EndpointId id) {
    Member* const member = find(id);
    if (member == nullptr || member->life != Member::Life::draining) return;
    if (member->endpoint.is_worker()) {
        report_drained(*member);
    } else {
        leave(*member, EndpointState::down);
    }
    free_departed();
}

/// Only now may the master hear of it: a worker that is stopped tells its WebSockets so itself, and our word comes
/// first.
void Roster::was_cut(EndpointId id) {
    Member* const member = find(id);
    if (member != nullptr && member->life == Member::Life::draining) report_drained(*member);
}

void Roster::refused(EndpointId id) {
    Member* const member = find(id);
    if (member == nullptr || member->life != Member::Life::ready) return;
    member->refused_until = clock_.now() + refusal_memory;
    log(config::LogLevel::warn, "endpoint_refused", "refused a connection", *member);
    apply(*member);
    weigh();
}

void Roster::failing(EndpointId id) {
    Member* const member = find(id);
    if (member == nullptr || member->life != Member::Life::ready || member->ejection.ejected()) return;
    if (!may_eject(census())) return;
    member->ejection.begin(clock_.now(), config_.outlier);
    weigh();
    log(config::LogLevel::warn, "endpoint_ejected", "failed too many requests in a row", *member);
}

// ---- time

void Roster::tick() {
    const io::TimePoint now = clock_.now();
    for (auto& member : members_) {
        if (member->ejection.end_if_due(now)) {
            log(config::LogLevel::info, "endpoint_returned", "takes requests again after its ejection", *member);
            member->warm_at = member->endpoint.begin_slow_start(now);
        }
        if (member->warm_at <= now && member->endpoint.gate().read().cold()) member->endpoint.gate().set_cold(false);
        const bool due = member->life == Member::Life::draining && member->drain_deadline <= now;
        if (due && !member->drain_reported && !member->left_over) {
            const auto reading = member->endpoint.gate().read();
            member->left_over = std::uint64_t{reading.in_flight()} + reading.tunnels();
            pool_.cut(member->endpoint.id());
        }
        if (!member->leaving()) apply(*member);
        // Empty already when its drain began: no release will say so.
        const bool idle_external = member->life == Member::Life::draining && !member->endpoint.is_worker();
        if (idle_external && member->endpoint.gate().read().empty()) leave(*member, EndpointState::down);
    }
    weigh();
    look_for_hangs();
    free_departed();
}

void Roster::free_departed() {
    std::vector<std::unique_ptr<Member>> departed;
    const std::lock_guard lock(shown_);
    for (auto& member : members_) {
        if (member->life == Member::Life::gone && member->endpoint.gate().read().empty() &&
            pool_.followed(member->list))
            departed.push_back(std::move(member));
    }
    std::erase(members_, nullptr);
}

// ---- gates

void Roster::leave(Member& member, EndpointState state) {
    member.life = state == EndpointState::down ? Member::Life::gone : Member::Life::draining;
    member.endpoint.gate().set_state(state);
    if (member.list == 0) member.list = pool_.next_list();
}

void Roster::report_drained(Member& member) {
    if (std::exchange(member.drain_reported, true)) return;
    if (member.endpoint.is_worker() && events_.drained)
        events_.drained(member.endpoint.identity().incarnation, member.left_over.value_or(0));
}

void Roster::apply(Member& member) {
    auto state = EndpointState::starting;
    if (member.life == Member::Life::ready) {
        state = resting_.count(member.endpoint.name()) != 0 ? EndpointState::draining
                : member.sick(clock_.now())                 ? EndpointState::suspect
                                                            : EndpointState::ready;
    }
    Gate& gate = member.endpoint.gate();
    if (gate.read().state() != state) gate.set_state(state);
}

void Roster::publish() {
    std::vector<EndpointList::Entry> entries;
    for (auto& member : members_) {
        if (!member->leaving()) entries.push_back({&member->endpoint, member->weight});
    }
    pool_.publish(entries, PoolSettings::from(config_));
}

PoolCensus Roster::census() const {
    PoolCensus census;
    for (const auto& member : members_) {
        if (member->leaving() || member->life == Member::Life::starting) continue;
        ++census.members;
        if (member->endpoint.gate().read().state() != EndpointState::ready) continue;
        ++census.ready;
        if (member->ejection.ejected()) ++census.ejected;
    }
    return census;
}

// Puts ejections in force, or lifts them all when too few are left, and tells the line what that means.
void Roster::weigh() {
    const PoolCensus counted = census();
    const bool ignore = panic(counted);
    for (auto& member : members_) {
        const bool ejected = member->ejection.ejected() && !ignore && !member->leaving();
        if (member->endpoint.gate().read().ejected() != ejected) member->endpoint.gate().set_ejected(ejected);
    }
    pool_.readiness(counted.ready > 0, is_given_up(state_), clock_.now());
}

// ---- looking

Roster::Member* Roster::find(EndpointId id) {
    const auto it = std::find_if(members_.begin(), members_.end(), [&](auto& m) { return m->endpoint.id() == id; });
    return it != members_.end() ? it->get() : nullptr;
}

Roster::Member* Roster::find_worker(control::Incarnation incarnation) {
    const auto it = std::find_if(members_.begin(), members_.end(), [&](auto& m) {
        return m->endpoint.is_worker() && m->endpoint.identity().incarnation == incarnation;
    });
    return it != members_.end() ? it->get() : nullptr;
}

Endpoint* Roster::endpoint_of(control::Incarnation incarnation) {
    Member* const member = find_worker(incarnation);
    return member != nullptr ? &member->endpoint : nullptr;
}

std::uint64_t Roster::busy() const {
    std::uint64_t sum = 0;
    for (const auto& member : members_) {
        const auto reading = member->endpoint.gate().read();
        sum += std::uint64_t{reading.in_flight()} + reading.tunnels();
    }
    return sum;
}

std::vector<EndpointStatus> Roster::status() const {
    const std::lock_guard lock(shown_);
    std::vector<EndpointStatus> list;
    for (const auto& member : members_) {
        const auto reading = member->endpoint.gate().read();
        list.push_back({.identity = member->endpoint.identity(),
                        .state = reading.state(),
                        .ejected = reading.ejected(),
                        .in_flight = reading.in_flight(),
                        .limit = reading.limit(),
                        .tunnels = reading.tunnels(),
                        .idle_connections = member->endpoint.idle_connections(),
                        .weight = member->weight,
                        .requests = member->endpoint.requests()});
    }
    return list;
}

std::vector<EndpointSeries> Roster::series() const {
    const std::lock_guard lock(shown_);
    std::vector<EndpointSeries> list;
    for (const auto& [name, cells] : cells_) list.push_back({name, cells});
    return list;
}

void Roster::log(config::LogLevel level, const char* event, const std::string& text, const Member& member) {
    const EndpointIdentity& who = member.endpoint.identity();
    log_.add(level, event, who.pool + "/" + who.name + " " + text,
             {{"pool", who.pool}, {"endpoint", who.name}, {"address", who.address.to_string()}, {"pid", who.pid}});
}

}  // namespace edgeproxy::upstream
