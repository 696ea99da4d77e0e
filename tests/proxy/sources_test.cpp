// SPDX-License-Identifier: Apache-2.0
#include "proxy/sources.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "proxy/limits.hpp"
#include "proxy/rate_table.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;

namespace {

std::array<std::uint8_t, 16> ip(const char* text) {
    std::array<std::uint8_t, 16> bytes{};
    const auto parsed = config::parse_ip(text);
    REQUIRE(parsed);
    std::copy(std::begin(parsed->bytes), std::end(parsed->bytes), bytes.begin());
    return bytes;
}

SourceKey source(const char* text) {
    return source_of(ip(text));
}

SourceKey source(unsigned number) {
    return {0, number};
}

}  // namespace

TEST_CASE("a source is an IPv4 address or an IPv6 /64", "[proxy][sources]") {
    CHECK(source("192.0.2.1") == source("::ffff:192.0.2.1"));
    CHECK_FALSE(source("192.0.2.1") == source("192.0.2.2"));
    CHECK(source("2001:db8:0:1::1") == source("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    CHECK_FALSE(source("2001:db8:0:1::1") == source("2001:db8:0:2::1"));
    CHECK_FALSE(source("::1") == source("0.0.0.1"));
    CHECK(is_within(ip("10.1.2.3"),
                    std::vector{*config::parse_cidr("192.168.0.0/16"), *config::parse_cidr("10.0.0.0/8")}));
    CHECK_FALSE(is_within(ip("11.1.2.3"), std::vector{*config::parse_cidr("10.0.0.0/8")}));
}

TEST_CASE("a source has so many streams over all its connections", "[proxy][sources]") {
    config::Log log;
    Limits limits{log};
    config::Config config;
    config.server.max_connections = 100;
    config.limits.connections_per_source = GENERATE(0u, 10u);
    config.limits.streams_per_source = 3;
    limits.configure(config);
    Limits::Seat one{limits}, two{limits}, other{limits}, trusted{limits};
    REQUIRE(one.belongs_to(source("192.0.2.1")));
    REQUIRE(two.belongs_to(source("192.0.2.1")));
    REQUIRE(other.belongs_to(source("192.0.2.2")));
    CHECK(one.stream_begins());
    CHECK(two.stream_begins());
    CHECK(two.stream_begins());
    CHECK_FALSE(one.stream_begins());
    CHECK_FALSE(two.stream_begins());
    CHECK(other.stream_begins());
    two.stream_ends();
    Limits::Seat moved = std::move(one);
    CHECK(moved.stream_begins());
    CHECK_FALSE(moved.stream_begins());
    for (int i = 0; i < 100; ++i) CHECK(trusted.stream_begins());  // it belongs to nobody
    config.limits.streams_per_source = 0;
    limits.configure(config);
    for (int i = 0; i < 100; ++i) CHECK(moved.stream_begins());
}

TEST_CASE("a source has so many connections and no more, and is forgotten with its last", "[proxy][sources]") {
    Sources sources;
    CHECK(sources.enter(source("192.0.2.1"), 2));
    CHECK(sources.enter(source("192.0.2.1"), 2));
    CHECK_FALSE(sources.enter(source("192.0.2.1"), 2));
    CHECK(sources.enter(source("192.0.2.2"), 2));
    CHECK(sources.size() == 2);
    sources.leave(source("192.0.2.1"));
    CHECK(sources.enter(source("192.0.2.1"), 2));
    sources.leave(source("192.0.2.1"));
    sources.leave(source("192.0.2.1"));
    sources.leave(source("192.0.2.2"));
    sources.leave(source("192.0.2.3"));
    CHECK(sources.size() == 0);
}

TEST_CASE("connections are counted exactly from many threads", "[proxy][sources]") {
    Sources sources;
    std::atomic<unsigned> most{0}, open{0};
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5000; ++i) {
                if (!sources.enter(source(7), 3)) continue;
                const unsigned now = ++open;
                for (unsigned seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                }
                --open;
                sources.leave(source(7));
            }
        });
    }
    threads.clear();
    CHECK(most <= 3);
    CHECK(sources.size() == 0);
}

TEST_CASE("a source may do two seconds' worth at once, and then so many a second", "[proxy][rate]") {
    RateTable table{64};
    io::TimePoint now{1h};
    CHECK(table.take(source(1), now));  // no limit yet
    CHECK_FALSE(table.limits());
    table.set_rate(10);
    REQUIRE(table.limits());
    unsigned taken = 0;
    for (int i = 0; i < 100; ++i) taken += table.take(source(1), now) ? 1 : 0;
    CHECK(taken == 20);
    CHECK(table.take(source(2), now));
    taken = 0;
    for (int tenth = 0; tenth < 50; ++tenth) {
        now += 100ms;
        for (int i = 0; i < 10; ++i) taken += table.take(source(1), now) ? 1 : 0;
    }
    CHECK(taken == 50);
    now += 1h;
    taken = 0;
    for (int i = 0; i < 100; ++i) taken += table.take(source(1), now) ? 1 : 0;
    CHECK(taken == 20);
    table.set_rate(0);
    CHECK(table.take(source(1), now));
}

TEST_CASE("a full table forgets who used it least, and goes on limiting who uses it most", "[proxy][rate]") {
    RateTable table{RateTable::ways};  // one set
    table.set_rate(1);
    const io::TimePoint now{1h};
    for (unsigned i = 0; i < 3; ++i) table.take(source(1), now);
    REQUIRE_FALSE(table.take(source(1), now));
    for (unsigned other = 100; other < 1100; ++other) {
        CHECK(table.take(source(other), now));
        CHECK_FALSE(table.take(source(1), now));
    }
}

TEST_CASE("many threads together take no more than the rate allows", "[proxy][rate]") {
    RateTable table{1024};
    table.set_rate(100);
    const io::TimePoint now{1h};
    std::atomic<unsigned> taken{0};
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) taken += table.take(source(5), now) ? 1 : 0;
        });
    }
    threads.clear();
    // Who meets in the first moment of a source may share its fresh place once.
    CHECK(taken >= 200);
    CHECK(taken <= 204);
}
