// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/recycling.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
using Due = Recycling::Due;

constexpr io::TimePoint start{std::chrono::hours(1)};

TEST_CASE("without limits a worker may go on for ever", "[recycling]") {
    Recycling worker({0, 10, 0s, 0}, 1);
    worker.counted(1'000'000'000);
    worker.measured(1ull << 40);
    CHECK(worker.due(start, start + 10000h) == Due::no);
}

TEST_CASE("each limit has its word", "[recycling]") {
    Recycling worker({100, 0, 60s, 1000}, 0);
    worker.counted(99);
    worker.measured(999);
    CHECK(worker.due(start, start + 59s) == Due::no);
    CHECK(worker.due(start, start + 60s) == Due::lifetime);
    worker.measured(1000);
    CHECK(worker.due(start, start + 59s) == Due::memory);
    worker.counted(100);
    CHECK(worker.due(start, start + 59s) == Due::requests);
}

TEST_CASE("the jitter shortens requests and lifetime, by its share at most, and never to nothing", "[recycling]") {
    const auto [draw, requests, lifetime] = GENERATE(
        table<double, std::uint64_t, config::Duration>({{-1.0, 1000, 100s}, {0.0, 900, 90s}, {1.0, 800, 80s}}));
    const Recycling worker({1000, 20, 100s, 0}, draw);
    CHECK(worker.most_requests() == requests);
    CHECK(worker.longest() == lifetime);
    CHECK(Recycling({1, 100, 0s, 0}, 1).most_requests() == 1);
}

TEST_CASE("a new proxy counts from nought, and what was before is remembered", "[recycling]") {
    Recycling worker({100, 0, 0s, 0}, 0);
    worker.counted(60);
    worker.counted(0);
    worker.counted(39);
    CHECK(worker.requests() == 99);
    CHECK(worker.due(start, start) == Due::no);
    worker.counted(40);
    CHECK(worker.due(start, start) == Due::requests);
}

}  // namespace
}  // namespace edgeproxy::master
