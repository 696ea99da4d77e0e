// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/slot.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{std::chrono::hours(1)};
constexpr Ending crash{WorkerEnd::unasked, true, 1s};
constexpr Ending late_crash{WorkerEnd::unasked, true, 60s};
constexpr Ending bad_start{WorkerEnd::unasked, false, 0s};

TEST_CASE("the first crash costs no wait, the next ones double up to the cap", "[slot]") {
    Slot slot{RestartPolicy{}};
    for (const milliseconds wait : {0ms, 500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
        CHECK(slot.on_end(crash, start, 0) == wait);
    }
}

TEST_CASE("a start that failed always waits", "[slot]") {
    Slot slot{RestartPolicy{}};
    for (const milliseconds wait : {500ms, 1000ms, 2000ms, 4000ms}) CHECK(slot.on_end(bad_start, start, 0) == wait);
    CHECK(slot.failed_starts() == 4);
    slot.on_ready();
    CHECK(slot.failed_starts() == 0);

    Slot other{RestartPolicy{}};
    CHECK(other.on_end(crash, start, 0) == 0ms);
    CHECK(other.on_end(bad_start, start, 0) == 500ms);
}

TEST_CASE("a minute of service forgives the past", "[slot]") {
    Slot slot{RestartPolicy{}};
    for (int i = 0; i < 6; ++i) slot.on_end(crash, start, 0);
    CHECK(slot.on_end(late_crash, start, 0) == 0ms);
    CHECK(slot.on_end(crash, start, 0) == 500ms);
}

TEST_CASE("the wait is spread by a fifth to either side", "[slot]") {
    const auto [jitter, wait] =
        GENERATE(table<double, milliseconds>({{-1.0, 400ms}, {0.5, 550ms}, {1.0, 600ms}, {9.0, 600ms}}));
    Slot slot{RestartPolicy{}};
    CHECK(slot.on_end(bad_start, start, jitter) == wait);
}

TEST_CASE("five failures in a minute are a crash loop, until they are a minute old", "[slot]") {
    Slot slot{RestartPolicy{}};
    for (int i = 0; i < 4; ++i) slot.on_end(crash, start + i * 1s, 0);
    CHECK_FALSE(slot.is_looping(start + 4s));
    slot.on_end(crash, start + 4s, 0);
    CHECK(slot.is_looping(start + 4s));
    CHECK(slot.is_looping(start + 60s));
    CHECK_FALSE(slot.is_looping(start + 61s));
}

TEST_CASE("failures that are spread out are none, unless no start ever succeeds", "[slot]") {
    Slot crashing{RestartPolicy{}}, failing{RestartPolicy{}};
    for (int i = 0; i < 5; ++i) {
        crashing.on_end(crash, start + i * 20s, 0);
        failing.on_end(bad_start, start + i * 60s, 0);
    }
    CHECK_FALSE(crashing.is_looping(start + 80s));
    CHECK(failing.is_looping(start + 10h));
    failing.on_ready();
    CHECK_FALSE(failing.is_looping(start + 10h));
}

TEST_CASE("an end that we asked for is no failure and no restart", "[slot]") {
    const auto end = GENERATE(WorkerEnd::asked, WorkerEnd::killed);
    Slot slot{RestartPolicy{}};
    for (int i = 0; i < 9; ++i) CHECK(slot.on_end({end, i % 2 == 0, 1s}, start, 0) == 0ms);
    CHECK_FALSE(slot.is_looping(start));
    CHECK(slot.failed_starts() == 0);
    CHECK_FALSE(Slot::reason({end, true, 1s}).has_value());
}

TEST_CASE("each failure has the reason that is counted", "[slot]") {
    using R = control::RestartReason;
    CHECK(Slot::reason(crash) == R::crash);
    CHECK(Slot::reason(bad_start) == R::start_failed);
    CHECK(Slot::reason({WorkerEnd::start_timeout, false, 0s}) == R::start_failed);
    CHECK(Slot::reason({WorkerEnd::hung, true, 0s}) == R::health);
    CHECK(Slot::reason({WorkerEnd::unhealthy, true, 0s}) == R::health);
}

}  // namespace
}  // namespace edgeproxy::master
