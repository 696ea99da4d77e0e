// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/time_text.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace edgeproxy::admin;
using namespace std::chrono_literals;

TEST_CASE("times are written to the millisecond, before and after the turn of a second", "[admin][time]") {
    TimeText text;
    const auto start = TimeText::Time{1795372300s};  // 2026-11-22T18:31:40Z
    const auto utc = [&](TimeText::Time time) {
        std::string out;
        text.append_utc(out, time);
        return out;
    };
    CHECK(utc(start + 207ms) == "2026-11-22T18:31:40.207Z");
    CHECK(utc(start + 999ms + 999us) == "2026-11-22T18:31:40.999Z");
    CHECK(utc(start + 1s) == "2026-11-22T18:31:41.000Z");
    CHECK(utc(start + 7ms) == "2026-11-22T18:31:40.007Z");
    CHECK(utc(TimeText::Time{}) == "1970-01-01T00:00:00.000Z");
    CHECK(utc(TimeText::Time{-1ms}) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("local times follow the clock of the machine", "[admin][time]") {
    TimeText text;
    const auto time = TimeText::Time{1795372300s + 42ms};
    const std::time_t second = 1795372300;
    std::tm local{};
    localtime_r(&second, &local);
    char expected[64];
    std::string out;
    text.append_clock_ms(out, time);
    CHECK(out == std::string(expected, std::strftime(expected, sizeof expected, "%H:%M:%S.042", &local)));
    out.clear();
    text.append_nginx(out, time);
    CHECK(out == std::string(expected, std::strftime(expected, sizeof expected, "%d/%b/%Y:%H:%M:%S %z", &local)));
    CHECK(out.size() == 26);
}
