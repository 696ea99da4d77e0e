// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/cells.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

ExchangeRecord finished(std::size_t route, unsigned status, http::Method method = http::Method::get) {
    ExchangeRecord record;
    record.route_index = route;
    record.status = status;
    record.method = method;
    record.total = 12ms;
    record.queue = 1ms;
    record.connect = 500us;
    record.upstream_whole = 10ms;
    record.bytes_in = 3;
    record.bytes_out = 128;
    return record;
}

std::uint64_t count_of(const RouteCells& route, const RequestKey& key) {
    std::uint64_t found = 0;
    route.requests.each([&](const RequestKey& each, std::uint64_t count) { found += each == key ? count : 0; });
    return found;
}

std::uint64_t observations(const auto& histogram) {
    std::uint64_t sum = 0;
    for (const Cell& bucket : histogram.buckets) sum += bucket.value();
    return sum;
}

}  // namespace

TEST_CASE("one call counts everything that a request is counted by", "[admin][cells]") {
    const auto lane = std::make_unique<LaneCells>();
    lane->began(3);
    CHECK(lane->find_route(3)->begun.value() - lane->find_route(3)->ended.value() == 1);
    auto record = finished(3, 503);
    record.begun = true;
    record.error = "connection_refused";
    lane->count(record);

    const RouteCells& route = *lane->find_route(3);
    CHECK(count_of(route, {503, http::Method::get, false}) == 1);
    CHECK(observations(route.duration[5]) == 1);
    CHECK(route.duration[5].buckets[4].value() == 1);  // 10 ms < 12 ms <= 25 ms
    CHECK(route.overhead.buckets[3].value() == 1);     // 12 - 1 - 0.5 - 10 = 0.5 ms
    CHECK(route.begun.value() == route.ended.value());
    CHECK(route.bytes_in.value() == 3);
    CHECK(route.bytes_out.value() == 128);
    std::map<std::string, std::uint64_t> errors;
    route.errors.each([&](std::string_view word, std::uint64_t count) { errors[std::string(word)] = count; });
    CHECK(errors == std::map<std::string, std::uint64_t>{{"connection_refused", 1}});
    CHECK(lane->find_route(2) == nullptr);
}

TEST_CASE("overhead is what remains of the total and never less than nothing", "[admin][cells]") {
    const auto [total, queue, connect, whole, expected] =
        GENERATE(table<int, int, int, int, int>({{100, 0, 0, 0, 100}, {100, 10, 20, 30, 40}, {100, 50, 50, 1, 0}}));
    ExchangeRecord record;
    record.total = std::chrono::nanoseconds{total};
    record.queue = std::chrono::nanoseconds{queue};
    record.connect = std::chrono::nanoseconds{connect};
    record.upstream_whole = std::chrono::nanoseconds{whole};
    CHECK(record.overhead() == std::chrono::nanoseconds{expected});
}

TEST_CASE("a client that left, and a status that is none, have no code", "[admin][cells]") {
    const auto lane = std::make_unique<LaneCells>();
    for (const unsigned status : {0U, 42U, 600U, 999U}) lane->count(finished(1, status));
    CHECK(count_of(*lane->find_route(1), {0, http::Method::get, false}) == 4);
    CHECK(observations(lane->find_route(1)->duration[0]) == 4);
}

TEST_CASE("a tunnel's hours do not enter the durations of requests", "[admin][cells]") {
    const auto lane = std::make_unique<LaneCells>();
    auto record = finished(1, 101);
    record.websocket = true;
    record.total = 3h;
    lane->count(record);
    CHECK(count_of(*lane->find_route(1), {101, http::Method::get, false}) == 1);
    CHECK(observations(lane->find_route(1)->duration[1]) == 0);
    CHECK(observations(lane->find_route(1)->overhead) == 0);
}

TEST_CASE("protocols are told apart and HTTP/1.0 counts as HTTP/1", "[admin][cells]") {
    const auto lane = std::make_unique<LaneCells>();
    for (const http::Version version : {http::Version::http10, http::Version::http11, http::Version::h2}) {
        auto record = finished(1, 200);
        record.protocol = version;
        lane->count(record);
    }
    CHECK(count_of(*lane->find_route(1), {200, http::Method::get, false}) == 2);
    CHECK(count_of(*lane->find_route(1), {200, http::Method::get, true}) == 1);
}

TEST_CASE("keys beyond the bound share one count, known ones go on", "[admin][cells]") {
    KeyedCells<int, 4, 10> cells;
    for (int round = 0; round < 3; ++round) {
        for (int key = 0; key < 100; ++key) cells.at(key).add();
    }
    std::map<int, std::uint64_t> seen;
    cells.each([&](int key, std::uint64_t count) { seen[key] += count; });
    CHECK(seen.size() == 10);
    for (int key = 0; key < 10; ++key) CHECK(seen[key] == 3);
    CHECK(cells.beyond() == 3 * 90);
}

TEST_CASE("an index beyond the bound counts as none", "[admin][cells]") {
    const auto lane = std::make_unique<LaneCells>();
    lane->count(finished(Names::capacity + 7, 200));
    CHECK(count_of(*lane->find_route(0), {200, http::Method::get, false}) == 1);
}

TEST_CASE("a name keeps its index and names beyond the bound are none", "[admin][cells]") {
    Names names;
    CHECK(names.index_of("web") == 1);
    CHECK(names.index_of("api") == 2);
    CHECK(names.index_of("web") == 1);
    CHECK(names.name(0) == "none");
    CHECK(names.name(2) == "api");
    for (std::size_t i = 0; i < 2 * Names::capacity; ++i) names.index_of("r" + std::to_string(i));
    CHECK(names.size() == Names::capacity);
    CHECK(names.index_of("one more") == 0);
    CHECK(names.index_of("web") == 1);
}

TEST_CASE("a connection is counted where it is, from its first to its last moment", "[admin][cells]") {
    ListenerCells cells;
    const auto open = [&](ConnectionProtocol protocol, int idle) {
        return cells.open[static_cast<std::size_t>(protocol)][static_cast<std::size_t>(idle)].value();
    };
    {
        ConnectionMark mark(cells);
        CHECK(open(ConnectionProtocol::none, 0) == 1);
        mark.protocol(ConnectionProtocol::h2);
        CHECK(open(ConnectionProtocol::none, 0) == 0);
        CHECK(open(ConnectionProtocol::h2, 0) == 1);
        mark.idle(true);
        mark.idle(true);
        CHECK(open(ConnectionProtocol::h2, 0) == 0);
        CHECK(open(ConnectionProtocol::h2, 1) == 1);
    }
    for (const auto& protocol : cells.open) {
        for (const Level& level : protocol) CHECK(level.value() == 0);
    }
}

TEST_CASE("handshakes are told apart by version, resumption and end", "[admin][cells]") {
    ListenerCells cells;
    cells.count_handshake("TLSv1.3", true, HandshakeResult::ok, 2ms);
    cells.count_handshake("", false, HandshakeResult::timeout, 10s);
    CHECK(cells.handshakes[2][1][static_cast<std::size_t>(HandshakeResult::ok)].value() == 1);
    CHECK(cells.handshakes[0][0][static_cast<std::size_t>(HandshakeResult::timeout)].value() == 1);
    CHECK(observations(cells.handshake_duration) == 1);
}
