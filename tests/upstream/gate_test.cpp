// SPDX-License-Identifier: Apache-2.0
#include "upstream/gate.hpp"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using namespace edgeproxy::upstream;

TEST_CASE("a gate admits up to its limit, and again after a release", "[upstream][gate]") {
    Gate gate{2};
    CHECK_FALSE(gate.try_enter());  // starting
    gate.set_state(EndpointState::ready);
    CHECK(gate.try_enter());
    CHECK(gate.try_enter());
    CHECK_FALSE(gate.try_enter());
    CHECK(gate.read().in_flight() == 2);
    gate.release();
    CHECK(gate.try_enter());
}

TEST_CASE("only an open gate admits", "[upstream][gate]") {
    Gate gate{2};
    const auto state =
        GENERATE(EndpointState::starting, EndpointState::suspect, EndpointState::draining, EndpointState::down);
    gate.set_state(state);
    CHECK(gate.read().state() == state);
    CHECK_FALSE(gate.try_enter());
    gate.set_state(EndpointState::ready);
    gate.set_ejected(true);
    CHECK_FALSE(gate.try_enter());
    gate.set_ejected(false);
    CHECK(gate.try_enter());
}

TEST_CASE("a limit of none is very high, and limits change under way", "[upstream][gate]") {
    Gate gate{0};
    gate.set_state(EndpointState::ready);
    CHECK(gate.read().limit() == Gate::most);
    CHECK(gate.try_enter());
    CHECK(gate.try_enter());
    gate.set_limit(1);
    CHECK_FALSE(gate.try_enter());
    CHECK(gate.release().in_flight() == 1);
    CHECK_FALSE(gate.try_enter());
    gate.release();
    CHECK(gate.try_enter());
}

TEST_CASE("a tunnel leaves its place to the next request but keeps the endpoint from being empty", "[upstream][gate]") {
    Gate gate{1};
    gate.set_state(EndpointState::ready);
    REQUIRE(gate.try_enter());
    CHECK(gate.to_tunnel().tunnels() == 1);
    REQUIRE(gate.try_enter());
    gate.set_state(EndpointState::draining);
    CHECK_FALSE(gate.release().empty());
    const auto last = gate.release_tunnel();
    CHECK(last.empty());
    CHECK(last.leaving());
}

TEST_CASE("a refusal turns ready into suspect and nothing else", "[upstream][gate]") {
    Gate gate{1};
    CHECK_FALSE(gate.suspect());
    gate.set_state(EndpointState::ready);
    CHECK(gate.suspect());
    CHECK(gate.read().state() == EndpointState::suspect);
    CHECK_FALSE(gate.suspect());
    gate.set_state(EndpointState::draining);
    CHECK_FALSE(gate.suspect());
    CHECK(gate.read().state() == EndpointState::draining);
}

TEST_CASE("a drain lets nobody in and is seen empty exactly once, whatever the threads do",
          "[upstream][gate][threads]") {
    for (int round = 0; round < 200; ++round) {
        Gate gate{3};
        gate.set_state(EndpointState::ready);
        std::atomic<int> emptied{0}, inside{0};
        std::atomic<bool> over{false};
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                while (!gate.read().leaving()) {
                    if (!gate.try_enter()) continue;
                    if (inside.fetch_add(1) >= 3) over = true;
                    inside.fetch_sub(1);
                    const auto after = gate.release();
                    if (after.leaving() && after.empty()) emptied.fetch_add(1);
                }
            });
        }
        if (gate.set_state(EndpointState::draining).empty()) emptied.fetch_add(1);
        for (auto& thread : threads) thread.join();
        REQUIRE_FALSE(over);
        REQUIRE(gate.read().empty());
        REQUIRE(emptied == 1);
    }
}
