// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/families.hpp"

#include <prometheus/text_serializer.h>

#include <catch2/catch.hpp>

#include "proxy/admin/error_word.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

std::string text(const Families& families) {
    return prometheus::TextSerializer{}.Serialize(families.finish());
}

}  // namespace

TEST_CASE("series with the same labels are summed and come out in order", "[admin][metrics]") {
    Families families;
    Family& b = families.counter("b_total", "Second.", {"x", "y"});
    families.gauge("a", "First.").add({}, 2.5);
    b.add({"2", "1"}, 1);
    b.add({"1", "9"}, 3);
    b.add({"2", "1"}, 4);
    b.add({"1", "a\"\\\n"}, 0);
    b.add_seen({"9", "9"}, 0);
    CHECK(text(families) ==
          "# HELP a First.\n# TYPE a gauge\na 2.5\n"
          "# HELP b_total Second.\n# TYPE b_total counter\n"
          "b_total{x=\"1\",y=\"9\"} 3\n"
          "b_total{x=\"1\",y=\"a\\\"\\\\\\n\"} 0\n"
          "b_total{x=\"2\",y=\"1\"} 5\n");
}

TEST_CASE("a histogram is cumulative, in seconds, and ends at infinity", "[admin][metrics]") {
    upstream::OverheadHistogram one, two;
    one.observe(50us);
    one.observe(51us);
    two.observe(2s);
    Families families;
    Family& family = families.histogram("d_seconds", "Durations.", {"x"});
    family.add({"a"}, one);
    family.add({"a"}, two);
    CHECK(text(families) ==
          "# HELP d_seconds Durations.\n# TYPE d_seconds histogram\n"
          "d_seconds_count{x=\"a\"} 3\n"
          "d_seconds_sum{x=\"a\"} 2.000101\n"
          "d_seconds_bucket{x=\"a\",le=\"5e-05\"} 1\n"
          "d_seconds_bucket{x=\"a\",le=\"0.0001\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.00025\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.0005\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.001\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.0025\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.005\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.01\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"0.05\"} 2\n"
          "d_seconds_bucket{x=\"a\",le=\"+Inf\"} 3\n");
}

TEST_CASE("a family without series is not there", "[admin][metrics]") {
    Families families;
    families.counter("a_total", "Nothing.", {"x"});
    CHECK(text(families).empty());
}

TEST_CASE("every error has a word", "[admin][metrics]") {
    for (std::size_t i = 1; i < upstream::errc_count; ++i) {
        const std::string_view word = error_word(static_cast<upstream::errc>(i));
        CHECK_FALSE(word.empty());
        CHECK(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string_view::npos);
    }
    CHECK(error_word(upstream::errc::connect_refused) == "connection_refused");
    CHECK(error_word(upstream::errc::queue_full) == "queue_full");
}
