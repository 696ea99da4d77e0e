// SPDX-License-Identifier: Apache-2.0
#include "upstream/pool.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::upstream {

PoolSettings PoolSettings::from(const config::Pool& pool) {
    return {.balance = pool.balance,
            .queue = pool.queue,
            .hold = pool.hold,
            .keepalive = pool.keepalive,
            .outlier = pool.outlier};
}

EndpointList::EndpointList(std::span<const Entry> entries) {
    views_.reserve(entries.size());
    endpoints_.reserve(entries.size());
    for (const Entry& entry : entries) {
        views_.push_back(entry.endpoint->view(std::max(entry.weight, 1u)));
        endpoints_.push_back(entry.endpoint);
    }
}

bool EndpointList::contains(const Endpoint& endpoint) const {
    return std::find(endpoints_.begin(), endpoints_.end(), &endpoint) != endpoints_.end();
}

Endpoint* EndpointList::enter(Balancer& balancer, EndpointId avoid, io::TimePoint now, Choice& choice) const {
    std::size_t avoided = no_view;
    if (avoid != 0) {
        const auto it = std::find_if(endpoints_.begin(), endpoints_.end(), [&](auto* e) { return e->id() == avoid; });
        if (it != endpoints_.end()) avoided = static_cast<std::size_t>(it - endpoints_.begin());
    }
    // Others may be quicker at the gate; each time somebody was, so this ends, and early enough to queue instead of
    // racing on.
    for (std::size_t attempt = 0; attempt < views_.size() + 4; ++attempt) {
        choice = balancer.choose(views_, avoided, now);
        if (!choice) return nullptr;
        if (endpoints_[choice.index]->gate().try_enter()) return endpoints_[choice.index];
    }
    choice = {no_view, true};
    return nullptr;
}

Pool::Pool(std::string name, const PoolSettings& settings, std::span<io::Reactor* const> reactors, PoolReports reports)
    : name_(std::move(name)),
      reactors_(reactors.begin(), reactors.end()),
      reports_(std::move(reports)),
      balancer_(settings.balance, std::hash<std::string>{}(name_)),
      line_(
          settings.queue.size, reactors_.size(), [this](const Waiter& waiter) { return take(waiter.avoid); },
          [this](std::size_t home) { reactors_[home]->post(shares_[home].collect); }) {
    for (std::size_t i = 0; i < reactors_.size(); ++i) {
        Share& share = shares_.emplace_back(settings, std::hash<std::string>{}(name_) + i + 1);
        share.collect.pool = this;
        share.collect.home = i;
    }
}

Pool::~Pool() = default;

Endpoint* Pool::take(EndpointId avoid) {
    Choice ignored;
    return list_.enter(balancer_, avoid, slow_start_now_, ignored);
}

void Pool::collect(std::size_t home) {
    while (Waiter* const waiter = line_.collect(home)) static_cast<AdmitOperation*>(waiter)->settled();
}

void Pool::left(Gate::Reading after, EndpointId id, std::size_t home) {
    if (after.leaving() && after.empty() && reports_.emptied) reports_.emptied(id);
    if (line_.occupied() && line_.pump(home)) collect(home);
}

std::uint64_t Pool::publish(std::span<const EndpointList::Entry> entries, const PoolSettings& settings) {
    const std::uint64_t number = ++list_number_;
    EndpointList list{entries};
    line_.set_size(settings.queue.size);
    line_.locked([&] {
        list_ = list;
        balancer_.set_kind(settings.balance);
    });
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, number, list, settings]() mutable {
            if (!alive.expired()) follow(home, number, std::move(list), settings);
        });
    }
    return number;
}

void Pool::follow(std::size_t home, std::uint64_t number, EndpointList list, const PoolSettings& settings) {
    Share& share = shares_[home];
    for (Endpoint* const before : share.list.endpoints()) {
        if (!list.contains(*before)) before->share(home).idle.close();
    }
    share.list = std::move(list);
    share.settings = settings;
    share.balancer.set_kind(settings.balance);
    share.list_number.store(number, std::memory_order_release);
}

bool Pool::followed(std::uint64_t list) const {
    return std::all_of(shares_.begin(), shares_.end(), [list](const Share& share) {
        return share.list_number.load(std::memory_order_acquire) >= list;
    });
}

void Pool::readiness(bool some_ready, bool given_up, io::TimePoint now) {
    given_up_.store(given_up, std::memory_order_seq_cst);
    if (ready_.exchange(some_ready, std::memory_order_seq_cst) != some_ready)
        ready_changed_.store(now.time_since_epoch().count(), std::memory_order_seq_cst);
    pump(now);
    if (given_up && !some_ready) line_.fail_all(errc::pool_down);
}

void Pool::pump(io::TimePoint now) {
    line_.locked([&] { slow_start_now_ = now; });
    line_.pump();
}

void Pool::cut(EndpointId endpoint) {
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, endpoint] {
            if (!alive.expired()) shares_[home].occupants.cut(endpoint);
        });
    }
}

}  // namespace edgeproxy::upstream
