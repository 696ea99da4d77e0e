// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "proxy/admin/metrics.hpp"
#include "upstream/roster.hpp"

namespace edgeproxy::admin {
namespace {

void count(StateCounts& counts, const upstream::EndpointStatus& status) {
    using enum upstream::EndpointState;
    switch (status.state) {
        case ready:
            ++(status.ejected ? counts.unhealthy : counts.ready);
            break;
        case starting:
            ++counts.starting;
            break;
        case suspect:
            ++counts.unhealthy;
            break;
        case draining:
            ++counts.draining;
            break;
        case down:
            ++counts.down;
            break;
    }
}

EndpointSample& sample_of(std::vector<EndpointSample>& samples, const std::string& name) {
    const auto found =
        std::find_if(samples.begin(), samples.end(), [&](const auto& each) { return each.name == name; });
    if (found != samples.end()) return *found;
    return samples.emplace_back(EndpointSample{name, false, false, 0, {}});
}

}  // namespace

PoolSample sample(const upstream::Pool& pool, const upstream::Roster& roster, const StartHistogram* starts) {
    PoolSample made{pool.name(), {}, pool.waiting(), {}, {}, starts, !roster.config().health.path.empty()};
    for (std::size_t i = 0; i < pool.reactors().size(); ++i) made.cells.push_back(&pool.cells(i));
    for (const upstream::EndpointSeries& series : roster.series()) {
        sample_of(made.endpoints, series.name).cells = series.cells;
    }
    // A slot may have two incarnations for a while, one that starts and one that drains.
    for (const upstream::EndpointStatus& status : roster.status()) {
        count(made.states, status);
        EndpointSample& endpoint = sample_of(made.endpoints, status.identity.name);
        endpoint.present = true;
        endpoint.healthy = endpoint.healthy || (status.state == upstream::EndpointState::ready && !status.ejected);
        endpoint.idle_connections += status.idle_connections;
    }
    return made;
}

}  // namespace edgeproxy::admin
