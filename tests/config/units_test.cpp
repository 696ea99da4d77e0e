// SPDX-License-Identifier: Apache-2.0
#include "config/units.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;
using namespace std::chrono_literals;

TEST_CASE("lengths of time are read with their units", "[config][units]") {
    const auto [text, value] = GENERATE(table<std::string, Duration>({{"500ms", 500ms},
                                                                      {"30s", 30s},
                                                                      {"5m", 5min},
                                                                      {"1h30m", 90min},
                                                                      {"1m1s1ms", 61'001ms},
                                                                      {"7d", 168h},
                                                                      {"1y", 8760h},
                                                                      {"0s", 0ms},
                                                                      {"007s", 7s},
                                                                      {"100y", 876'000h}}));
    CHECK(parse_duration(text).value == value);
}

TEST_CASE("what is no length of time is refused with what to write", "[config][units]") {
    const auto [text, hint] =
        GENERATE(table<std::string, std::string>({{"30", "write 30s"},
                                                  {"30 s", "write 30s"},
                                                  {"30S", "write 30s"},
                                                  {"30sec", "write 30s"},
                                                  {"5 minutes", "write 5m"},
                                                  {"2hours", "write 2h"},
                                                  {"2 weeks", "write 14d"},
                                                  {"", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"soon", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"1.5s", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"-1s", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"30m1h", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"1s1s", "write it like 500ms, 30s, 5m or 1h30m"},
                                                  {"101y", "at most 100y"},
                                                  {"99999999999999999999s", "write it like 500ms, 30s, 5m or 1h30m"}}));
    const auto parsed = parse_duration(text);
    CHECK_FALSE(parsed.value);
    CHECK(parsed.hint == hint);
}

TEST_CASE("sizes are read with their units", "[config][units]") {
    const auto [text, value] = GENERATE(table<std::string, ByteSize>({{"0B", 0},
                                                                      {"1500B", 1500},
                                                                      {"1KB", 1000},
                                                                      {"64KiB", 65536},
                                                                      {"10MiB", 10485760},
                                                                      {"1GB", 1000000000},
                                                                      {"2TiB", 2199023255552}}));
    CHECK(parse_size(text).value == value);
}

TEST_CASE("what is no size is refused with what to write", "[config][units]") {
    const auto [text, said] = GENERATE(
        table<std::string, std::string>({{"10m", "\"10m\" is not a size: minutes or megabytes? write 10MiB or 10MB|"},
                                         {"10M", "\"10M\" is not a size|write 10MiB or 10MB"},
                                         {"64k", "\"64k\" is not a size|write 64KiB or 64KB"},
                                         {"64kib", "\"64kib\" is not a size|write 64KiB"},
                                         {"64 KiB", "\"64 KiB\" is not a size|write 64KiB"},
                                         {"512", "\"512\" has no unit|write 512B, or 512KiB, or 512MiB"},
                                         {"0", "\"0\" has no unit|write 0B"},
                                         {"5 bytes", "\"5 bytes\" is not a size|write 5B"},
                                         {"much", "\"much\" is not a size|write it like 64KiB, 10MiB or 1GB"},
                                         {"99999999TiB", "\"99999999TiB\" is too large|"}}));
    const auto parsed = parse_size(text);
    CHECK_FALSE(parsed.value);
    CHECK(parsed.complaint + "|" + parsed.hint == said);
}

TEST_CASE("a count is digits and nothing else", "[config][units]") {
    CHECK(parse_count("0").value == 0U);
    CHECK(parse_count("18446744073709551615").value == 18446744073709551615U);
    for (const char* text :
         {"", " 1", "1 ", "0755", "00", "+5", "-1", "1e3", "0x10", "1.0", "1_000", "18446744073709551616", "four"}) {
        INFO(text);
        CHECK_FALSE(parse_count(text).value);
    }
}

TEST_CASE("true and false are the only truths", "[config][units]") {
    CHECK(parse_boolean("true").value == true);
    CHECK(parse_boolean("false").value == false);
    for (const char* text : {"yes", "no", "on", "off", "True", "TRUE", "1", "0", "y", ""}) {
        INFO(text);
        CHECK_FALSE(parse_boolean(text).value);
    }
    CHECK(parse_boolean("yes").hint == "write true");
    CHECK(parse_boolean("off").hint == "write false");
}

TEST_CASE("what is written out reads back the same", "[config][units]") {
    for (const long count : {0L, 1L, 999L, 1000L, 1500L, 60'000L, 90'061'001L, 31'536'000'000L}) {
        const Duration value{count};
        CHECK(parse_duration(format_duration(value)).value == value);
    }
    for (const ByteSize value :
         {ByteSize{0}, ByteSize{1}, ByteSize{1000}, ByteSize{1024}, ByteSize{65537}, ByteSize{1} << 50, ~ByteSize{0}}) {
        CHECK(parse_size(format_size(value)).value == value);
    }
    CHECK(format_duration(90min) == "1h30m");
    CHECK(format_size(64 * 1024) == "64KiB");
}
