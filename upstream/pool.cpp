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

std::size_t EndpointList::index_of(EndpointId id) const {
    const auto it = std::find_if(endpoints_.begin(), endpoints_.end(), [id](auto* e) { return e->id() == id; });
    return it != endpoints_.end() ? static_cast<std::size_t>(it - endpoints_.begin()) : no_view;
}

void PoolShare::run() {
    pool.line_.hear(home);
    pool.collect(home);
}

Pool::Pool(std::string name, const PoolSettings& settings, std::span<io::Reactor* const> reactors, PoolReports reports)
    : name_(std::move(name)),
      reactors_(reactors.begin(), reactors.end()),
      reports_(std::move(reports)),
      balancer_(settings.balance, std::hash<std::string>{}(name_)),
      line_(
          settings.queue.size, reactors_.size(), [this](const Waiter& waiter) { return take(waiter.avoid); },
          [this](std::size_t home) { reactors_[home]->post(share(home)); }) {
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        shares_.push_back(
            std::make_unique<PoolShare>(*this, home, settings, std::hash<std::string>{}(name_) + home + 1));
    }
}

Pool::~Pool() = default;

Endpoint* Pool::take(EndpointId avoid) {
    return list_.enter(balancer_, avoid, slow_start_now_);
}

void Pool::collect(std::size_t home) {
    while (Waiter* const waiter = line_.collect(home)) static_cast<AdmitWait*>(waiter)->settled();
}

void Pool::note_left(bool emptied, EndpointId id, std::size_t home) {
    if (emptied && reports_.emptied) reports_.emptied(id);
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
    PoolShare& mine = share(home);
    for (Endpoint* const before : mine.list.endpoints()) {
        if (list.contains(*before)) continue;
        before->share(home).idle.close();
        before->share(home).shared.close();
    }
    mine.list = std::move(list);
    mine.settings = settings;
    mine.balancer.set_kind(settings.balance);
    mine.followed.store(number, std::memory_order_release);
}

bool Pool::followed(std::uint64_t list) const {
    return std::all_of(shares_.begin(), shares_.end(),
                       [list](const auto& share) { return share->followed.load(std::memory_order_acquire) >= list; });
}

void Pool::readiness(bool some_ready, bool given_up, io::TimePoint now) {
    given_up_.store(given_up, std::memory_order_seq_cst);
    if (ready_.load(std::memory_order_relaxed) != some_ready) {
        // In this order: who sees that it has changed has to see when, or it judges by the clock of the other
        // condition.
        ready_changed_.store(now.time_since_epoch().count(), std::memory_order_seq_cst);
        ready_.store(some_ready, std::memory_order_seq_cst);
    }
    pump(now);
    if (given_up && !some_ready) line_.fail_all(errc::pool_down);
}

void Pool::pump(io::TimePoint now) {
    line_.locked([&] { slow_start_now_ = now; });
    line_.pump();
}

void Pool::cut(EndpointId endpoint) {
    const auto left = std::make_shared<std::atomic<std::size_t>>(reactors_.size());
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, endpoint, left] {
            if (alive.expired()) return;
            share(home).occupants.cut(endpoint);
            if (left->fetch_sub(1, std::memory_order_acq_rel) == 1 && reports_.was_cut) reports_.was_cut(endpoint);
        });
    }
}

void Pool::close_tunnels(EndpointId endpoint) {
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, endpoint] {
            if (!alive.expired()) share(home).occupants.close_tunnels(endpoint);
        });
    }
}

void Pool::look_for_unread(std::uint64_t round, io::Duration patience) {
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, round, patience] {
            if (alive.expired()) return;
            auto found = share(home).occupants.unread(reactors_[home]->now(), patience);
            if (!found.empty() && reports_.unread) reports_.unread(round, std::move(found));
        });
    }
}

void Pool::move_unread(EndpointId endpoint, bool stopped) {
    for (std::size_t home = 0; home < reactors_.size(); ++home) {
        reactors_[home]->post([this, alive = std::weak_ptr<void>(alive_), home, endpoint, stopped] {
            if (!alive.expired()) share(home).occupants.move_unread(endpoint, stopped);
        });
    }
}

}  // namespace edgeproxy::upstream
