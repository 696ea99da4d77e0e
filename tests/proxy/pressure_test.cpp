// SPDX-License-Identifier: Apache-2.0
#include "proxy/pressure.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;

TEST_CASE("memory pressure rises at 80, 90 and 95 % and falls five below", "[proxy][pressure]") {
    using enum Pressure;
    const std::vector<std::pair<std::uint64_t, Pressure>> story{
        {0, none},       {799, none},     {800, saving},   {790, saving},   {750, saving},   {749, none},
        {900, refusing}, {899, refusing}, {850, refusing}, {849, saving},   {899, saving},   {950, cutting},
        {949, cutting},  {900, cutting},  {899, refusing}, {850, refusing}, {2000, cutting}, {0, none},
    };
    MemoryPressure memory{1000};
    for (const auto& [used, level] : story) {
        INFO(used);
        CHECK(memory.observe(used) == level);
    }
}

TEST_CASE("what must be given back leads out of refusing", "[proxy][pressure]") {
    MemoryPressure memory{1000};
    CHECK(memory.excess(960) == 110);
    CHECK(memory.excess(850) == 0);
    memory.observe(960);
    CHECK(memory.observe(960 - memory.excess(960) - 1) == Pressure::saving);
}

TEST_CASE("a budget may change while memory is short", "[proxy][pressure]") {
    MemoryPressure memory{1000};
    CHECK(memory.observe(960) == Pressure::cutting);
    memory.budget(2000);
    CHECK(memory.pressure() == Pressure::cutting);
    CHECK(memory.observe(960) == Pressure::none);
    MemoryPressure tiny{0};
    CHECK(tiny.observe(100) == Pressure::cutting);
}

TEST_CASE("a loop is overloaded when it lags for a second, and recovers when it was in time for one",
          "[proxy][pressure]") {
    struct Step {
        io::Duration after, late;
        bool overloaded;
    };
    const std::vector<Step> story{
        {0ms, 300ms, false},  {400ms, 300ms, false}, {400ms, 300ms, false}, {400ms, 300ms, true},
        {400ms, 300ms, true}, {100ms, 250ms, true},  {900ms, 0ms, true},    {50ms, 251ms, true},
        {100ms, 0ms, true},   {999ms, 0ms, true},    {1ms, 0ms, false},     {100ms, 900ms, false},
        {100ms, 0ms, false},  {900ms, 900ms, false}, {100ms, 900ms, false}, {900ms, 900ms, true},
    };
    LoopLag lag;
    io::TimePoint now{1h};
    for (std::size_t i = 0; i < story.size(); ++i) {
        INFO("step " << i);
        now += story[i].after;
        CHECK(lag.observe(now, story[i].late, 250ms) == story[i].overloaded);
    }
    // Switched off it recovers like any other.
    CHECK(lag.observe(now + 100ms, 900ms, 0ms));
    CHECK_FALSE(lag.observe(now + 1100ms, 900ms, 0ms));
}

TEST_CASE("a probe gets as much longer as the loop was late, once its timeout at most", "[proxy][pressure]") {
    CHECK(probe_grace(2s, 0ms) == 0ms);
    CHECK(probe_grace(2s, 20ms) == 0ms);
    CHECK(probe_grace(2s, 100ms) == 400ms);
    CHECK(probe_grace(2s, 60s) == 2s);
}
