// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot.hpp"

namespace edgeproxy::proxy {
namespace {

http::Limits limits_of(const config::ListenerLimits& from) {
    http::Limits limits;
    limits.request_line = from.request_line;
    limits.header_bytes = from.header_size;
    limits.field = std::min<std::size_t>(limits.field, from.header_size);
    limits.fields = from.headers;
    return limits;
}

std::string hsts_of(const config::Tls& tls) {
    if (tls.hsts.count() <= 0) return {};
    return "max-age=" + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(tls.hsts).count());
}

/// `plan` serves what its `tls_set` says.
void give_identities(Snapshot& snapshot, ListenerPlan& plan) {
    const auto& identities = (*snapshot.identities)[plan.tls_set];
    snapshot.contexts.push_back(std::make_shared<const tls::Context>(identities, plan.listener->protocols));
    plan.context = snapshot.contexts.back().get();
    plan.identities = identities.get();
}

}  // namespace

std::shared_ptr<const Snapshot> with_identities(const Snapshot& from, std::shared_ptr<const TlsSets> identities) {
    auto snapshot = std::make_shared<Snapshot>(from);
    snapshot->identities = std::move(identities);
    snapshot->contexts.clear();
    for (ListenerPlan& plan : snapshot->listeners) {
        if (plan.context != nullptr) give_identities(*snapshot, plan);
    }
    return snapshot;
}

std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const config::Config> config,
                                              const SnapshotParts& parts) {
    auto snapshot = std::make_shared<Snapshot>(std::move(config));
    snapshot->identities = parts.identities;
    const config::Config& plan = *snapshot->config;
    for (const config::Route& route : plan.routes) {
        RoutePlan made;
        made.route = &route;
        made.index = parts.registry.routes.index_of(route.name);
        made.name = parts.registry.routes.name(made.index);
        made.tunnels = &parts.registry.tunnels[made.index];
        if (!route.pool.empty()) {
            made.pool_config = plan.find_pool(route.pool);
            made.pool_index = parts.registry.pools.index_of(route.pool);
            made.pool_name = parts.registry.pools.name(made.pool_index);
            made.pool = parts.find_pool(route.pool);
            made.notes = parts.find_notes(route.pool);
        }
        made.rules = RewriteRules(plan.headers, route, made.pool_config);
        snapshot->routes.push_back(std::move(made));
    }
    for (const config::Listener& listener : plan.listeners) {
        ListenerPlan made;
        made.listener = &listener;
        made.index = parts.registry.listeners.index_of(listener.name);
        made.name = parts.registry.listeners.name(made.index);
        made.limits = limits_of(listener.limits);
        if (listener.tls) {
            made.tls_set = plan.tls_set_of(listener);
            made.hsts = hsts_of(listener.own_tls ? *listener.own_tls : plan.tls);
            give_identities(*snapshot, made);
        }
        snapshot->listeners.push_back(made);
    }
    return snapshot;
}

}  // namespace edgeproxy::proxy
