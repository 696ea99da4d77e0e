// SPDX-License-Identifier: Apache-2.0
// Another part of House: taking over another configuration.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "upstream/master/house.hpp"

namespace edgeproxy::master {
namespace {

// What `watch` looks at. What it has seen and not told yet is lost when it begins anew, so it does so only where it
// must.
std::vector<std::tuple<std::string, std::string, std::vector<std::string>>> watched(const config::Config& config) {
    std::vector<std::tuple<std::string, std::string, std::vector<std::string>>> out;
    for (const config::Pool& pool : config.pools) {
        if (pool.managed) out.emplace_back(pool.name, pool.command.working_dir, pool.command.watch);
    }
    return out;
}

}  // namespace

Reload::Outside House::reload_outside() {
    Reload::Outside out;
    out.load = options_.load;
    out.can_begin = [this] {
        return phase_ == Phase::running && crews_started_ && proxy_.is_ready() && !proxy_.is_handing();
    };
    out.tell_proxy = [this](control::Message message) { proxy_.send(std::move(message)); };
    out.end_proxy = [this] { proxy_.kill_active(); };
    out.current = [this] { return config_; };
    out.resources = [this]() -> Resources& { return resources_; };
    out.adopt = [this](std::shared_ptr<const config::Config> config, Resources resources) {
        return adopt(std::move(config), std::move(resources));
    };
    out.managed_pools = [this] {
        std::vector<std::string> names;
        for (const auto& crew : fleet_.crews()) {
            if (!crew->retired()) names.push_back(crew->pool().name);
        }
        return names;
    };
    out.roll = [this](const std::string& pool, RollTold told) {
        return fleet_.roll(pool, control::RestartReason::reload, told);
    };
    out.await_start = [this](const std::string& pool, RollTold told) {
        if (Crew* const crew = fleet_.find(pool)) return crew->await_start(std::move(told));
        told({pool, false, 0, "the pool is gone", {}});
    };
    out.is_ok = [this](const std::string& pool) {
        const Crew* const crew = fleet_.find(pool);
        return crew != nullptr && crew->state() == control::PoolState::ok;
    };
    out.counted = [this] { counted(); };
    return out;
}

Reload::Adopted House::adopt(std::shared_ptr<const config::Config> config, Resources resources) {
    for (ListenSocket& socket : resources_.take_missing_in(resources)) leaving_sockets_.push_back(std::move(socket));
    resources.runtime_dir = std::move(resources_.runtime_dir);
    resources.inherited = std::move(resources_.inherited);
    resources_ = std::move(resources);
    const bool watched_alike = watched(*config_) == watched(*config);
    config_ = std::move(config);
    workplace_.generation = reload_.generation();
    follow_logging();
    follow_keys();
    Reload::Adopted pools = adopt_pools();
    wake_all();
    if (!watched_alike) start_watches();
    tell_master_status();
    return pools;
}

void House::follow_logging() {
    log_.set_level(config_->logging.level);
    if (io::UniqueFd file = open_log(config_->logging.output)) output_.reopen(std::move(file));
    json_ = output_.wants_json(config_->logging.format);
    proxy_.each([this](ProxyProcess& one) { send_log_files(one); });
}

// Pools that are gone, new, changed.
Reload::Adopted House::adopt_pools() {
    std::vector<std::string> gone;
    Reload::Adopted out;
    for (const auto& crew : fleet_.crews()) {
        const config::Pool* pool = config_->find_pool(crew->pool().name);
        if (!crew->retired() && (pool == nullptr || !pool->managed)) gone.push_back(crew->pool().name);
    }
    for (const std::string& name : gone) {
        log_.info("pool_removed", "pool " + name + " has left the configuration", {{"pool", name}});
        fleet_.retire(name);
        std::erase_if(usages_, [&](const auto& one) { return one.first.first == name; });
    }
    for (const config::Pool& pool : config_->pools) {
        if (!pool.managed) continue;
        CrewPlan plan{std::shared_ptr<const config::Pool>(config_, &pool), resources_.workers[pool.name]};
        if (Crew* crew = fleet_.find(pool.name)) {
            if (crew->configure(std::move(plan))) out.changed.push_back(pool.name);
        } else {
            late_pools_.insert(pool.name);
            out.added.push_back(pool.name);
            fleet_.add(std::move(plan)).start(proxy_.is_ready());
        }
    }
    return out;
}

// What was drained by a command: run-time changes end at a reload, the file is the only truth.
void House::wake_all() {
    for (const auto& [name, since] : std::exchange(resting_, {})) {
        const auto& [pool, endpoint] = name;
        log_.info("endpoint_undrained",
                  fmt::format("{}/{} gets requests again: the drain ends at the reload", pool, endpoint),
                  {{"pool", pool}, {"endpoint", endpoint}});
        proxy_.tell_all(control::EndpointRest{pool, endpoint, false});
    }
}

// The proxy has closed its copy of a socket that we do not want any more.
void House::listener_drained(std::uint64_t id) {
    const auto is_it = [id](const ListenSocket& socket) { return socket.id == id; };
    const auto it = std::find_if(leaving_sockets_.begin(), leaving_sockets_.end(), is_it);
    if (it == leaving_sockets_.end()) return;
    log_.info("listener_closed", "no longer listening on " + it->address.to_string(), {{"listener", it->name}});
    forget_path(*it);
    leaving_sockets_.erase(it);
}

// A unix path may have been given to another socket of ours in the meantime.
void House::forget_path(const ListenSocket& socket) {
    const bool used = std::any_of(resources_.sockets.begin(), resources_.sockets.end(),
                                  [&](const ListenSocket& one) { return one.address == socket.address; });
    if (!used) unlink_path(socket);
}

// No proxy holds them any more.
void House::close_leaving() {
    for (const ListenSocket& socket : leaving_sockets_) forget_path(socket);
    leaving_sockets_.clear();
}

control::MasterStatus House::master_status() const {
    control::MasterStatus status;
    status.reloads = reload_.counts();
    status.last_ok = reload_.last_failure().empty();
    status.last_ok_at = reload_.last_ok_at();
    status.refused = control_.refused();
    for (const auto& crew : fleet_.crews()) {
        if (!crew->retired() && status.scales.size() < control::max_scales) status.scales.push_back(crew->scale_told());
    }
    status.upgrades = upgrade_.counts();
    return status;
}

void House::tell_master_status() {
    proxy_.tell_all(master_status());
}

// A reload or an upgrade began or ended.
void House::counted() {
    tell_master_status();
    const bool busy = reload_.is_busy() || upgrade_.is_busy();
    if (!told_manager_ || phase_ != Phase::running || std::exchange(told_busy_, busy) == busy) return;
    if (busy) return notifier_.reloading();
    notifier_.reloaded();
}

}  // namespace edgeproxy::master
