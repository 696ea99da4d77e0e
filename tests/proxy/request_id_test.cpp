// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "proxy/wall_clock.hpp"

using namespace edgeproxy::proxy;

TEST_CASE("request ids are UUIDs of version 7: by time, and unique", "[proxy][request_id]") {
    RequestIds ids;
    std::array<char, RequestIds::size> space;
    std::set<std::string> seen;
    for (int i = 0; i < 10'000; ++i) seen.insert(std::string(ids.next(0x018bcfe56800, space)));
    CHECK(seen.size() == 10'000);
    for (const std::string& id : seen) {
        REQUIRE(id.size() == 36);
        CHECK(id.starts_with("018bcfe5-6800-7"));
        CHECK(std::string("89ab").find(id[19]) != std::string::npos);
    }
    CHECK(std::string(ids.next(0x018bcfe56801, space)) > *seen.rbegin());
}

TEST_CASE("a Date field has the form of RFC 9110", "[proxy][wall_clock]") {
    WallClock wall;
    wall.refresh(edgeproxy::io::TimePoint{std::chrono::hours(1)});
    const std::string date{wall.date()};
    CHECK(date.size() == 29);
    CHECK(date.substr(3, 2) == ", ");
    CHECK(date.ends_with(" GMT"));
    CHECK(date.substr(0, 3).find_first_not_of("SunMoTeWdhFriat") == std::string::npos);
}
