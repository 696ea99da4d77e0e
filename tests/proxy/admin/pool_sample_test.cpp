// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <catch2/catch.hpp>

#include "proxy/admin/metrics.hpp"
#include "tls/io/reactor.hpp"
#include "upstream/roster.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;

namespace {

/// A managed pool on one reactor, with nobody in it yet.
struct Works {
    io::Clock clock = io::Clock::manual();
    io::Reactor reactor{0, clock};
    std::array<io::Reactor*, 1> reactors{&reactor};
    config::Log log{config::LogLevel::error};
    upstream::EndpointId next_id = 1;
    config::Pool config;
    upstream::Pool pool;
    upstream::Roster roster;

    Works()
        : config(managed()),
          pool("web", upstream::PoolSettings::from(config), reactors, {}),
          roster(pool, config, {}, clock, log, next_id, {}) {}

    static config::Pool managed() {
        config::Pool pool;
        pool.name = "web";
        pool.managed = true;
        pool.max_in_flight = 4;
        pool.queue = {10, config::Duration{1000}};
        return pool;
    }
    void worker(control::Incarnation incarnation, std::uint32_t slot) {
        control::WorkerUp up;
        up.pool = "web";
        up.slot = slot;
        up.incarnation = incarnation;
        up.pid = 100 + static_cast<int>(incarnation);
        up.address = *config::parse_address("unix:/tmp/nowhere");
        roster.worker_up(up);
    }
};

}  // namespace

TEST_CASE("a pool's sample counts endpoints by state and keeps one series a slot", "[admin][metrics]") {
    Works works;
    works.worker(1, 0);
    works.worker(2, 1);
    works.roster.worker_ready(1);
    PoolSample made = sample(works.pool, works.roster, nullptr);
    CHECK(made.name == "web");
    CHECK(made.cells.size() == 1);
    CHECK(made.states.ready == 1);
    CHECK(made.states.starting == 1);
    REQUIRE(made.endpoints.size() == 2);
    CHECK(made.endpoints[0].name == "web-1");
    CHECK(made.endpoints[0].healthy);
    CHECK(made.endpoints[0].cells.size() == 2);
    CHECK_FALSE(made.endpoints[1].healthy);

    // Its replacement starts while it drains: one name, two endpoints.
    works.worker(3, 0);
    works.roster.worker_drain(1, std::chrono::seconds(30), control::DrainReason::request);
    made = sample(works.pool, works.roster, nullptr);
    CHECK(made.states.draining == 1);
    CHECK(made.states.starting == 2);
    CHECK(made.endpoints.size() == 2);
    CHECK_FALSE(made.endpoints[0].healthy);
    CHECK(made.endpoints[0].present);
}
