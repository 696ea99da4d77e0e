// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/readiness.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <memory>

#include "proxy/admin/cells.hpp"

using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

Conditions fine() {
    Conditions conditions;
    conditions.configured = conditions.listeners_bound = true;
    conditions.pools = {{"web", true, 2, 2, ""}, {"extra", false, 1, 1, ""}};
    return conditions;
}

}  // namespace

TEST_CASE("with everything in order we are ready and have nothing to tell", "[admin][ready]") {
    const Readiness readiness = judge(fine());
    CHECK(readiness.ready);
    CHECK(readiness.text(false) == "ready\n");
    CHECK(readiness.text(true) ==
          "ok   configuration loaded\n"
          "ok   listeners bound\n"
          "ok   not draining\n"
          "ok   event loops turn\n"
          "ok   pool web: 2 of 2 endpoints ready\n"
          "ok   pool extra: 1 of 1 endpoints ready\n"
          "ready\n");
}

TEST_CASE("each failed condition makes us not ready and has its line", "[admin][ready]") {
    struct Case {
        void (*spoil)(Conditions&);
        const char* line;
    };
    const Case cases[] = {
        {[](Conditions& c) { c.configured = false; }, "fail no configuration yet\n"},
        {[](Conditions& c) { c.listeners_bound = false; }, "fail listeners not bound\n"},
        {[](Conditions& c) { c.draining = true; }, "fail draining\n"},
        {[](Conditions& c) { c.loops_turn = false; }, "fail an event loop does not turn\n"},
        {[](Conditions& c) {
             c.pools[0].ready = 0;
             c.pools[0].reason = "crash looping";
         },
         "fail pool web: 0 of 2 endpoints ready, crash looping\n"},
        {[](Conditions& c) {
             c.pools[0] = {"web", true, 0, 0, ""};
         },
         "fail pool web: 0 of 0 endpoints ready\n"},
    };
    for (const Case& each : cases) {
        Conditions conditions = fine();
        each.spoil(conditions);
        const Readiness readiness = judge(conditions);
        CHECK_FALSE(readiness.ready);
        CHECK(readiness.text(false) == each.line);
    }
}

TEST_CASE("a pool that is not required never makes us unready, but is told", "[admin][ready]") {
    Conditions conditions = fine();
    conditions.pools[1].ready = 0;
    const Readiness readiness = judge(conditions);
    CHECK(readiness.ready);
    CHECK(readiness.text(false) == "ready\n");
    CHECK(readiness.text(true).find("-    pool extra: 0 of 1 endpoints ready (not required)\n") != std::string::npos);
}

TEST_CASE("loops turn while every one of them ticked within five seconds", "[admin][ready]") {
    const auto one = std::make_unique<LaneCells>(), two = std::make_unique<LaneCells>();
    const std::array<const LaneCells*, 2> lanes{one.get(), two.get()};
    const std::chrono::steady_clock::time_point now{100h};
    CHECK_FALSE(loops_turn(lanes, now));
    one->ticked(now, 0ns);
    CHECK_FALSE(loops_turn(lanes, now));
    two->ticked(now - 5s, 0ns);
    CHECK(loops_turn(lanes, now));
    CHECK_FALSE(loops_turn(lanes, now + 1ms));
    two->ticked(now + 1s, 0ns);
    CHECK(loops_turn(lanes, now + 5s));
    CHECK(loops_turn({}, now));
}
