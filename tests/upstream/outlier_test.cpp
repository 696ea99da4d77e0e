// SPDX-License-Identifier: Apache-2.0
#include "upstream/outlier.hpp"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace std::chrono_literals;

namespace {

const config::Outlier policy{.enabled = true, .failures = 5, .window = 10s, .eject = 10s};
const io::TimePoint start{1000h};

}  // namespace

TEST_CASE("only failures in a row within the window fill a streak", "[upstream][outlier]") {
    FailureStreak streak;

    SECTION("five at once") {
        for (int i = 0; i < 4; ++i) CHECK_FALSE(streak.fail(start, policy));
        CHECK(streak.fail(start, policy));
        CHECK(streak.length() == 0);
    }
    SECTION("a success begins anew") {
        for (int i = 0; i < 4; ++i) streak.fail(start, policy);
        streak.succeed();
        for (int i = 0; i < 4; ++i) CHECK_FALSE(streak.fail(start, policy));
    }
    SECTION("the last one still inside the window counts") {
        for (int i = 0; i < 4; ++i) streak.fail(start, policy);
        CHECK(streak.fail(start + 10s, policy));
    }
    SECTION("a failure after the window is the first of a new streak") {
        for (int i = 0; i < 4; ++i) streak.fail(start, policy);
        CHECK_FALSE(streak.fail(start + 10s + 1ms, policy));
        CHECK(streak.length() == 1);
    }
}

TEST_CASE("of threads that fail together exactly one fills each streak", "[upstream][outlier][threads]") {
    FailureStreak streak;
    std::atomic<int> filled{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5000; ++i) filled += streak.fail(start, policy) ? 1 : 0;
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(filled == 4 * 5000 / 5);
}

TEST_CASE("never more than half the pool is ejected, never the last that works", "[upstream][outlier]") {
    struct Row {
        PoolCensus census;
        bool may, panics;
    };
    const auto row = GENERATE(values<Row>({
        {{.members = 1, .ready = 1, .ejected = 0}, false, false},
        {{.members = 2, .ready = 2, .ejected = 0}, true, false},
        {{.members = 2, .ready = 2, .ejected = 1}, false, false},
        {{.members = 2, .ready = 1, .ejected = 0}, false, false},
        {{.members = 3, .ready = 3, .ejected = 1}, false, false},
        {{.members = 4, .ready = 4, .ejected = 1}, true, false},
        {{.members = 4, .ready = 2, .ejected = 1}, false, true},  // two are dead, one is out: use it all the same
        {{.members = 4, .ready = 2, .ejected = 0}, true, false},
        {{.members = 10, .ready = 10, .ejected = 4}, true, false},
        {{.members = 10, .ready = 10, .ejected = 5}, false, false},
        {{.members = 0, .ready = 0, .ejected = 0}, false, false},
    }));
    CAPTURE(row.census.members, row.census.ready, row.census.ejected);
    CHECK(may_eject(row.census) == row.may);
    CHECK(panic(row.census) == row.panics);
}

TEST_CASE("each ejection in a row lasts longer, up to five minutes", "[upstream][outlier]") {
    Ejection ejection;
    io::TimePoint now = start;
    for (const auto length : {10s, 20s, 30s}) {
        ejection.begin(now, policy);
        CHECK(ejection.until() == now + length);
        CHECK_FALSE(ejection.end_if_due(now + length - 1ns));
        CHECK(ejection.ejected());
        now += length;
        CHECK(ejection.end_if_due(now));
        CHECK_FALSE(ejection.ejected());
        CHECK_FALSE(ejection.end_if_due(now));
    }
    for (int i = 0; i < 60; ++i) {
        ejection.begin(now, policy);
        now = ejection.until();
        ejection.end_if_due(now);
    }
    ejection.begin(now, policy);
    CHECK(ejection.until() == now + 300s);
    now = ejection.until();
    ejection.end_if_due(now);

    SECTION("five quiet minutes are forgiven") {
        now += 300s + 1ns;
        ejection.begin(now, policy);
        CHECK(ejection.times() == 1);
        CHECK(ejection.until() == now + 10s);
    }
}
