// SPDX-License-Identifier: Apache-2.0
// Another part of House: what people ask over the control socket.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "config/text.hpp"
#include "upstream/master/house.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

// `ejected`: null = it is not. `resting_since`: 0 = it gets requests.
WorkerView view_of(const IncarnationProcess& process, const std::string& pool, const Sightings::Sighting* ejected,
                   std::int64_t resting_since) {
    WorkerView out;
    out.name = control::worker_name(pool, process.slot);
    const WorkerState state = process.machine.state();
    out.state = word(state);
    const bool serves = state == WorkerState::ready || state == WorkerState::suspect;
    if (state == WorkerState::starting) out.why = process.rejected;
    if (serves && process.machine.is_unhealthy()) {
        out.state = "unhealthy";
        out.why = process.sickness;
        out.since = process.sick_since;
    }
    if (serves && ejected != nullptr) {
        out.state = "ejected";
        out.why = "requests to it failed";
        out.since = ejected->since;
    }
    if (serves && resting_since != 0) {
        out.state = "drained";
        out.why.clear();
        out.since = resting_since;
    }
    out.pid = process.process.pid;
    out.started_at = process.started_at;
    out.rss_bytes = process.rss_bytes;
    out.requests = process.stats.requests;
    out.in_flight = process.stats.in_flight;
    return out;
}

// The names of a pool's endpoints, as metrics and `status` have them.
std::vector<std::string> endpoint_list(const config::Pool& pool, unsigned workers) {
    std::vector<std::string> names;
    for (std::uint32_t slot = 0; slot < workers; ++slot) names.push_back(control::worker_name(pool.name, slot));
    for (const config::Endpoint& endpoint : pool.endpoints) names.push_back(endpoint.shown_name());
    return names;
}

std::string known_names(const config::Config& config) {
    std::string out;
    for (const config::Pool& pool : config.pools) out += (out.empty() ? "" : ", ") + pool.name;
    return out.empty() ? "there is no pool" : "pools: " + out;
}

}  // namespace

void House::open_control() {
    if (!resources_.runtime_dir) return;  // said at the start
    std::string error;
    if (!control_.open(resources_.runtime_dir->control_path(), error))
        log_.error("control_unusable", error + "; going on without it");
}

const char* House::phase_word() const {
    switch (phase_) {
        case Phase::running:
            return "running";
        case Phase::delaying:
        case Phase::draining:
            return "draining";
        default:
            return "stopping";
    }
}

PoolView House::view_of_crew(const Crew& crew) const {
    const control::PoolStatus told = crew.status();
    PoolView out;
    out.name = crew.pool().name;
    out.state = word(told.state);
    out.reason = told.reason;
    out.last_lines = told.last_lines;
    const control::PoolScale scale = crew.scale_told();
    out.wanted = scale.wanted;
    out.min = scale.min;
    out.max = scale.max;
    out.pinned = scale.pinned;
    const auto processes = crew.processes();
    for (std::uint32_t slot = 0; slot < out.wanted; ++slot) {
        const auto usage = usages_.find({out.name, slot});
        const std::size_t before = out.workers.size();
        for (const IncarnationProcess* process : processes) {
            if (process->slot != slot) continue;
            const std::string name = control::worker_name(out.name, slot);
            out.workers.push_back(
                view_of(*process, out.name, sightings_.find(out.name, name), resting_since(out.name, name)));
        }
        if (out.workers.size() == before) out.workers.push_back({control::worker_name(out.name, slot)});
        if (usage == usages_.end()) continue;
        const auto& restarts = usage->second.restarts;
        out.workers[before].restarts = std::accumulate(restarts.begin(), restarts.end(), std::uint64_t{0});
    }
    return out;
}

PoolView House::view_of_external(const config::Pool& pool) const {
    PoolView out;
    out.name = pool.name;
    out.managed = false;
    out.wanted = static_cast<unsigned>(pool.endpoints.size());
    for (const Sightings::Sighting* seen : sightings_.of(pool.name))
        out.endpoints.push_back(
            {seen->endpoint, seen->address, seen->state, seen->since, seen->requests, seen->in_flight});
    for (const config::Endpoint& endpoint : pool.endpoints) {
        const std::string name = endpoint.shown_name();
        if (sightings_.find(pool.name, name) == nullptr) out.endpoints.push_back({name, endpoint.address.to_string()});
    }
    for (EndpointView& endpoint : out.endpoints) {
        const std::int64_t since = resting_since(pool.name, endpoint.name);
        if (since == 0) continue;
        endpoint.state = "drained";
        endpoint.since = since;
    }
    return out;
}

std::int64_t House::resting_since(const std::string& pool, const std::string& endpoint) const {
    const auto found = resting_.find({pool, endpoint});
    return found == resting_.end() ? 0 : found->second;
}

StatusView House::status() const {
    StatusView out;
    out.version = EDGEPROXY_VERSION;
    out.config_name = options_.runs.empty() ? options_.config_name : options_.runs;
    out.pid = ::getpid();
    out.proxy_pid = proxy_.is_alive() ? proxy_.pid() : 0;
    out.proxy_ready = proxy_.is_ready();
    out.phase = phase_word();
    out.now = unix_now();
    out.started_at = started_at_;
    out.generation = reload_.generation();
    out.configured_at = reload_.last_ok_at();
    out.last_reload = reload_.last_failure();
    out.last_upgrade = upgrade_.last_failure();
    if (const ProxyProcess* const leaving = proxy_.leaving()) out.leaving_proxy_pid = leaving->pid();
    for (const config::Listener& listener : config_->listeners) {
        for (const ListenSocket& socket : resources_.sockets) {
            if (socket.name != listener.name) continue;
            out.listeners.push_back(
                fmt::format("{:<6} {}", listener.tls ? "https" : "http", socket.address.to_string()));
        }
    }
    for (const config::Pool& pool : config_->pools) {
        const Crew* crew = fleet_.find(pool.name);
        out.pools.push_back(crew != nullptr ? view_of_crew(*crew) : view_of_external(pool));
    }
    return out;
}

void House::asked(const control::Request& request, std::shared_ptr<Asker> asker) {
    using control::CommandVerb;
    if (request.verb != CommandVerb::status)
        log_.info("command", fmt::format("asked over the control socket: {}", word(request.verb)),
                  {{"command", word(request.verb)}, {"pool", request.pool}, {"worker", request.worker}});
    if (request.verb == CommandVerb::status) {
        asker->result(request.json ? status_json(status()) : status_text(status()));
        return asker->done(ExitCode::done);
    }
    if (request.verb == CommandVerb::stop) return asked_to_stop(request.now, *asker);
    if (phase_ != Phase::running) return asker->refuse("it is stopping", ExitCode::refused);
    if (request.verb == CommandVerb::reload)
        return reload_.ask(false, request.dry_run, std::move(asker), "edgeproxy reload");
    if (request.verb == CommandVerb::upgrade) return upgrade_.ask(std::move(asker), "edgeproxy upgrade");
    const config::Pool* pool = config_->find_pool(request.pool);
    if (pool == nullptr) {
        return asker->refuse(fmt::format("no pool \"{}\"; {}", request.pool, known_names(*config_)), ExitCode::refused);
    }
    asked_about_pool(request, *pool, std::move(asker));
}

void House::asked_about_pool(const control::Request& request, const config::Pool& pool, std::shared_ptr<Asker> asker) {
    using control::CommandVerb;
    if (request.verb == CommandVerb::drain || request.verb == CommandVerb::undrain)
        return asked_to_rest(pool, request.worker, request.verb == CommandVerb::drain, *asker);
    Crew* crew = fleet_.find(pool.name);
    if (crew == nullptr) {
        return asker->refuse(fmt::format("pool {} has no workers of ours: somebody else runs its endpoints", pool.name),
                             ExitCode::refused);
    }
    if (request.verb == CommandVerb::restart) return asked_to_restart(*crew, request.worker, std::move(asker));
    crew->pin(request.count);
    asker->result(fmt::format("pool {}: {} wanted, until the next reload{}\n", pool.name,
                              config::counted(crew->wanted(), "worker"),
                              crew->pool().autoscale.max != 0 ? "; autoscaling rests so long" : ""));
    asker->done(ExitCode::done);
}

void House::asked_to_restart(Crew& crew, const std::string& worker, std::shared_ptr<Asker> asker) {
    const RollTold told = [this, asker, all = worker.empty()](const RollVerdict& verdict) {
        if (verdict.ok) {
            if (all) reload_.replaced(verdict.pool);
            asker->result(
                fmt::format("pool {}: {} replaced\n", verdict.pool, config::counted(verdict.replaced, "worker")));
            return asker->done(ExitCode::done);
        }
        for (const std::string& line : verdict.last_lines) asker->note(fmt::format("    | {}\n", line));
        asker->refuse(fmt::format("pool {}: {}", verdict.pool, verdict.why), ExitCode::refused);
    };
    if (worker.empty()) return crew.roll(control::RestartReason::request, told);
    for (std::uint32_t slot = 0; slot < crew.wanted(); ++slot) {
        if (control::worker_name(crew.pool().name, slot) != worker) continue;
        crew.roll_one(slot, control::RestartReason::request, told);
        return;
    }
    asker->refuse(fmt::format("no worker \"{}\" in pool {}; there is {}", worker, crew.pool().name,
                              fmt::join(endpoint_list(crew.pool(), crew.wanted()), ", ")),
                  ExitCode::refused);
}

void House::asked_to_rest(const config::Pool& pool, const std::string& endpoint, bool resting, Asker& asker) {
    const Crew* crew = fleet_.find(pool.name);
    const std::vector<std::string> names = endpoint_list(pool, crew != nullptr ? crew->wanted() : 0);
    if (std::find(names.begin(), names.end(), endpoint) == names.end()) {
        return asker.refuse(
            fmt::format("no endpoint \"{}\" in pool {}; there is {}", endpoint, pool.name, fmt::join(names, ", ")),
            ExitCode::refused);
    }
    if (resting) {
        resting_.try_emplace({pool.name, endpoint}, unix_now());
    } else {
        resting_.erase({pool.name, endpoint});
    }
    proxy_.tell_all(control::EndpointRest{pool.name, endpoint, resting});
    asker.result(
        fmt::format("{}/{} {}\n", pool.name, endpoint, resting ? "gets no new requests" : "gets requests again"));
    asker.done(ExitCode::done);
}

void House::asked_to_stop(bool now, Asker& asker) {
    asker.leaving();
    if (now) return force("stop --now");
    begin_stop("stop");
}

}  // namespace edgeproxy::master
