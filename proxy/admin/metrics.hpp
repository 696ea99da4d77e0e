// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/admin/cells.hpp"
#include "proxy/admin/server.hpp"
#include "upstream/control/message.hpp"
#include "upstream/counters.hpp"

namespace edgeproxy::upstream {
class Pool;
class Roster;
}  // namespace edgeproxy::upstream

namespace edgeproxy::admin {

/// Labels of `edgeproxy_build_info`.
struct BuildInfo {
    std::string version, revision, compiler, openssl, nghttp2, boost;
};

/// One endpoint name of a pool at the moment of a scrape.
struct EndpointSample {
    std::string name;
    bool present = true;  ///< it takes part now; counters of a name that left stay
    bool healthy = false;
    std::uint64_t idle_connections = 0;
    std::span<const upstream::EndpointCells> cells;  ///< one per thread that counts
};

/// Endpoints of a pool by state.
struct StateCounts {
    unsigned starting = 0, ready = 0, unhealthy = 0, draining = 0, down = 0;
};

struct PoolSample {
    std::string name;
    StateCounts states;
    std::uint64_t waiting = 0;                      ///< requests in its line
    std::vector<const upstream::PoolCells*> cells;  ///< one per reactor
    std::vector<EndpointSample> endpoints;
    const StartHistogram* starts = nullptr;  ///< of a managed pool
    bool probed = false;                     ///< has active health: its counters begin at 0
};

/// A pool with its counters, from the room that owns them; `reactors` as many as `Pool::reactors`.
PoolSample sample(const upstream::Pool& pool, const upstream::Roster& roster, const StartHistogram* starts);

struct CertificateSample {
    std::string name;                ///< first host name
    std::string source;              ///< "file", "dev"
    std::int64_t not_after = 0;      ///< seconds since 1970
    std::int64_t stapled_until = 0;  ///< of the OCSP answer; 0 = none is stapled
};

/// How overloaded the process is.
struct OverloadSample {
    std::uint64_t memory_used = 0, memory_budget = 0;
    unsigned pressure = 0;  ///< 0 none ... 3 cutting
    unsigned lagging = 0;   ///< reactors
};

/// What the metrics are made of. Pointers must outlive `Metrics`; functions are called at each scrape, on its thread;
/// an empty function stands for "there is none".
struct MetricSources {
    BuildInfo build;
    std::int64_t start_time = 0;  ///< of the program, that is of the master: seconds since 1970
    const Registry* registry = nullptr;
    std::vector<const LaneCells*> lanes;  ///< in order of reactor index
    std::function<bool()> ready;
    std::function<std::string()> config_hash;
    std::function<control::MasterStatus()> master;  ///< as it said last
    std::function<std::vector<PoolSample>()> pools;
    std::function<std::vector<control::WorkerUsage>()> workers;  ///< the last message of each slot
    std::function<std::vector<CertificateSample>()> certificates;
    std::function<std::uint64_t()> keys_replaced, keys_refused;  ///< certificates that changed on disk
    std::function<AdminRefusals()> admin_refused;                ///< requests to the metrics listener
    std::function<OverloadSample()> overload;
    std::function<std::uint64_t()> access_dropped, log_dropped;  ///< lines lost
};

/// All families of metrics, made of cells at the moment of a scrape: one `prometheus::Collectable`, no registry,
/// nothing on the hot path. Families and series are sorted, so that two scrapes compare line by line. Label values come
/// from the configuration and from fixed words only.
///
/// thread  one at a time (the control thread)
class Metrics {
 public:
    explicit Metrics(MetricSources sources);
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
    ~Metrics();

    /// Prometheus text format 0.0.4.
    std::string scrape() const;

 private:
    class Collector;
    std::unique_ptr<Collector> collector_;
};

}  // namespace edgeproxy::admin
