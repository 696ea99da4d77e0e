// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>

#include "proxy/admin/error_word.hpp"
#include "proxy/admin/families.hpp"
#include "proxy/admin/metrics.hpp"

namespace edgeproxy::admin {
namespace {

constexpr std::array<std::string_view, 6> class_words{"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

struct PoolFamilies {
    Family &endpoints, &queue_length, &queue_duration, &retries, &connect_duration, &starts;

    explicit PoolFamilies(Families& all)
        : endpoints(all.gauge("edgeproxy_pool_endpoints", "Endpoints by state.", {"pool", "state"})),
          queue_length(all.gauge("edgeproxy_pool_queue_length", "Requests that wait for an endpoint.", {"pool"})),
          queue_duration(all.histogram("edgeproxy_pool_queue_duration_seconds",
                                       "How long requests that found no endpoint at once waited.", {"pool"})),
          retries(all.counter("edgeproxy_pool_retries_total", "Further attempts at an endpoint.", {"pool", "reason"})),
          connect_duration(all.histogram("edgeproxy_upstream_connect_duration_seconds",
                                         "Duration of connects that succeeded.", {"pool"})),
          starts(all.histogram("edgeproxy_worker_start_duration_seconds", "Worker spawned to its first answered probe.",
                               {"pool"})) {}

    void add(const PoolSample& pool) {
        endpoints.add({pool.name, "starting"}, pool.states.starting);
        endpoints.add({pool.name, "ready"}, pool.states.ready);
        endpoints.add({pool.name, "unhealthy"}, pool.states.unhealthy);
        endpoints.add({pool.name, "draining"}, pool.states.draining);
        endpoints.add({pool.name, "down"}, pool.states.down);
        queue_length.add({pool.name}, static_cast<double>(pool.waiting));
        for (const upstream::PoolCells* cells : pool.cells) {
            queue_duration.add({pool.name}, cells->queue_duration);
            connect_duration.add({pool.name}, cells->connect_duration);
            for (std::size_t i = 0; i < upstream::retry_reasons; ++i) {
                const char* const reason = upstream::word(static_cast<upstream::RetryReason>(i));
                retries.add({pool.name, reason}, static_cast<double>(cells->retries[i].value()));
            }
        }
        if (pool.starts != nullptr) starts.add({pool.name}, *pool.starts);
    }
};

struct EndpointFamilies {
    Family &requests, &errors, &duration, &connections, &reused, &healthy, &checks;

    explicit EndpointFamilies(Families& all)
        : requests(all.counter("edgeproxy_upstream_requests_total", "Final answers of an endpoint.",
                               {"pool", "endpoint", "code_class"})),
          errors(all.counter("edgeproxy_upstream_errors_total", "Attempts that an endpoint did not answer in order.",
                             {"pool", "endpoint", "reason"})),
          duration(all.histogram("edgeproxy_upstream_response_duration_seconds",
                                 "Request sent to the head of the answer.", {"pool", "endpoint"})),
          connections(all.gauge("edgeproxy_upstream_connections", "Open connections to an endpoint.",
                                {"pool", "endpoint", "state"})),
          reused(all.counter("edgeproxy_upstream_connections_reused_total",
                             "Requests that went over a connection that was kept open.", {"pool", "endpoint"})),
          healthy(all.gauge("edgeproxy_upstream_healthy", "1 while an endpoint takes requests.", {"pool", "endpoint"})),
          checks(
              all.counter("edgeproxy_health_checks_total", "Active health probes.", {"pool", "endpoint", "result"})) {}

    void add(const std::string& pool, const EndpointSample& endpoint, bool probed) {
        const std::string& name = endpoint.name;
        if (endpoint.present) healthy.add({pool, name}, endpoint.healthy ? 1 : 0);
        std::uint64_t made = 0, closed = 0;
        for (const upstream::EndpointCells& cells : endpoint.cells) {
            closed += cells.connections_closed.value();
            made += cells.connects.value();
            for (std::size_t i = 0; i < class_words.size(); ++i) {
                requests.add_seen({pool, name, class_words[i]}, cells.responses[i].value());
            }
            for (std::size_t i = 1; i < upstream::errc_count; ++i) {
                errors.add_seen({pool, name, error_word(static_cast<upstream::errc>(i))}, cells.errors[i].value());
            }
            duration.add({pool, name}, cells.response_duration);
            reused.add({pool, name}, static_cast<double>(cells.reused.value()));
            if (!probed) continue;
            checks.add({pool, name, "pass"}, static_cast<double>(cells.probes_passed.value()));
            checks.add({pool, name, "fail"}, static_cast<double>(cells.probes_failed.value()));
        }
        const std::uint64_t open = made > closed ? made - closed : 0;
        const std::uint64_t idle = std::min(open, endpoint.idle_connections);
        connections.add({pool, name, "active"}, static_cast<double>(open - idle));
        connections.add({pool, name, "idle"}, static_cast<double>(idle));
    }
};

struct WorkerFamilies {
    Family &up, &start_time, &memory, &cpu, &restarts;

    explicit WorkerFamilies(Families& all)
        : up(all.gauge("edgeproxy_worker_up", "1 while a process of the worker lives.", {"pool", "worker"})),
          start_time(all.gauge("edgeproxy_worker_start_time_seconds", "Start of the living process, Unix time.",
                               {"pool", "worker"})),
          memory(all.gauge("edgeproxy_worker_resident_memory_bytes", "Resident memory of the worker's process group.",
                           {"pool", "worker"})),
          cpu(all.counter("edgeproxy_worker_cpu_seconds_total", "CPU time of the living process group.",
                          {"pool", "worker"})),
          restarts(all.counter("edgeproxy_worker_restarts_total", "Workers started again, by cause.",
                               {"pool", "worker", "reason"})) {}

    void add(const control::WorkerUsage& usage) {
        constexpr double ms_per_second = 1e3;
        const std::string worker = control::worker_name(usage.pool, usage.slot);
        const bool alive = usage.started_at != 0;
        up.add({usage.pool, worker}, alive ? 1 : 0);
        if (alive) start_time.add({usage.pool, worker}, static_cast<double>(usage.started_at));
        memory.add({usage.pool, worker}, static_cast<double>(usage.rss_bytes));
        cpu.add({usage.pool, worker}, static_cast<double>(usage.cpu_ms) / ms_per_second);
        for (std::size_t i = 0; i < control::restart_reasons; ++i) {
            const char* const reason = control::word(static_cast<control::RestartReason>(i));
            restarts.add({usage.pool, worker, reason}, static_cast<double>(usage.restarts[i]));
        }
    }
};

}  // namespace

void add_upstream_families(Families& families, const MetricSources& sources) {
    if (sources.pools) {
        PoolFamilies pools(families);
        EndpointFamilies endpoints(families);
        for (const PoolSample& pool : sources.pools()) {
            pools.add(pool);
            for (const EndpointSample& endpoint : pool.endpoints) endpoints.add(pool.name, endpoint, pool.probed);
        }
    }
    if (sources.workers) {
        WorkerFamilies workers(families);
        for (const control::WorkerUsage& usage : sources.workers()) workers.add(usage);
    }
}

}  // namespace edgeproxy::admin
