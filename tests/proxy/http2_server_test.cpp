// SPDX-License-Identifier: Apache-2.0
#include "tests/proxy/http2_served.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

TEST_CASE("many streams of one connection are each answered", "[proxy][h2]") {
    Served served;
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 90; ++i) ids.push_back(served.client.request(head(i % 2 == 0 ? "/small" : "/nowhere")));
    served.settle();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const Got& got = served.got(ids[i]);
        REQUIRE(got.ended);
        CHECK(got.head.at(0).second == (i % 2 == 0 ? "200" : "404"));
    }
    CHECK(served.got(ids[0]).body == "hello");
    CHECK(served.lane.workspaces.take() != nullptr);
    CHECK(served.lane.reactor.spawned() == 1);
}

TEST_CASE("an answer larger than the client's window comes as the window opens", "[proxy][h2]") {
    Served served;
    const auto id = served.get("/large");
    CHECK(served.got(id).ended);
    CHECK(served.got(id).body == large_body);
}

TEST_CASE("a client that does not read its answer loses that stream, in time", "[proxy][h2]") {
    Served served;
    nghttp2_session* const library = served.client.raw();
    const nghttp2_settings_entry small{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(library, NGHTTP2_FLAG_NONE, &small, 1);
    const auto stuck = served.get("/large");
    CHECK(served.got(stuck).head.at(0).second == "200");
    CHECK(served.got(stuck).body.empty());
    served.pass(15s);
    CHECK(served.got(stuck).reset == -1);
    CHECK(served.get("/nowhere") > stuck);
    served.pass(10s);
    CHECK(served.got(stuck).reset == NGHTTP2_CANCEL);
    CHECK_FALSE(served.closed());
}

TEST_CASE("a connection that says nothing is closed", "[proxy][h2]") {
    Served served;
    SECTION("before its first request") {
        served.pass(11s);
    }
    SECTION("some time after its last one") {
        served.get("/small");
        served.pass(50s);
        CHECK_FALSE(served.closed());
        served.pass(20s);
    }
    REQUIRE(served.client.goaways.size() == 1);
    CHECK(served.client.goaways[0].second == NGHTTP2_NO_ERROR);
    CHECK(served.closed());
}

TEST_CASE("a head that takes too long ends the connection", "[proxy][h2]") {
    Served served;
    served.raw(frame(1, 1, 1, "\x82\x87"));  // HEADERS without END_HEADERS
    served.pass(7s);
    CHECK(served.client.goaways.empty());
    served.pass(3s);
    REQUIRE(served.client.goaways.size() == 1);
    CHECK(served.client.goaways[0].second == NGHTTP2_ENHANCE_YOUR_CALM);
    CHECK(served.closed());
}

TEST_CASE("a drain lets the streams finish and then closes", "[proxy][h2]") {
    Served served;
    SECTION("with a stream under way") {
        nghttp2_session* const library = served.client.raw();
        const nghttp2_settings_entry small{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
        nghttp2_submit_settings(library, NGHTTP2_FLAG_NONE, &small, 1);
        const auto id = served.get("/large");
        served.lane.drain();
        served.settle();
        REQUIRE(served.client.goaways.size() == 2);
        CHECK(served.client.goaways[0].first == 0x7fffffff);
        CHECK(served.client.goaways[1].first == id);
        CHECK_FALSE(served.closed());
        nghttp2_submit_window_update(library, NGHTTP2_FLAG_NONE, id, 300'000);
        nghttp2_submit_window_update(library, NGHTTP2_FLAG_NONE, 0, 300'000);
        served.settle();
        CHECK(served.got(id).ended);
        CHECK(served.got(id).body == large_body);
    }
    SECTION("idle, when the client need not answer any more") {
        served.get("/small");
        served.lane.drain();
        served.settle();
        CHECK_FALSE(served.closed());
        served.pass(2s);
    }
    CHECK_FALSE(served.client.goaways.empty());
    CHECK(served.closed());
}

TEST_CASE("a connection that had its share of requests is asked to end", "[proxy][h2]") {
    auto config = plan();
    config->listeners[0].limits.requests_per_connection = 3;
    Served served{config};
    for (int i = 0; i < 3; ++i) CHECK(served.got(served.get("/small")).ended);
    CHECK_FALSE(served.client.goaways.empty());
    served.pass(2s);
    CHECK(served.closed());
}

TEST_CASE("streams above the limit are refused, and their number holds while old ones are undone", "[proxy][h2]") {
    auto config = plan();
    config->listeners[0].http2_max_streams = 2;
    Served served{config};
    nghttp2_session* const library = served.client.raw();
    const nghttp2_settings_entry small{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(library, NGHTTP2_FLAG_NONE, &small, 1);
    served.get("/large");
    served.get("/large");
    served.raw(frame(1, 5, 5, "\x82\x87\x84\x41\x01z"));
    CHECK(served.got(5).reset <= 0);  // the client's library knows no stream 5
    CHECK_FALSE(served.closed());
    CHECK(served.lane.reactor.spawned() == 3);
}

TEST_CASE("a client that vanishes takes its streams along", "[proxy][h2]") {
    Served served;
    const nghttp2_settings_entry small{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(served.client.raw(), NGHTTP2_FLAG_NONE, &small, 1);
    for (int i = 0; i < 20; ++i) served.get("/large");
    CHECK(served.lane.reactor.spawned() == 21);
    served.far.reset();
    served.settle();
    CHECK(served.lane.reactor.spawned() == 0);
    CHECK(served.lane.open == 0);
}

TEST_CASE("a malformed request is answered and counted", "[proxy][h2]") {
    Served served;
    const auto id = served.client.request(head("/", {{"host", "b.example"}}));
    served.settle();
    CHECK(served.got(id).head.at(0).second == "400");
    CHECK(served.cells.malformed(http::errc::duplicate_host) == 1);
    const auto bad = served.client.request(head("/", {{"x-bad", "a\nb"}}));
    served.settle();
    CHECK(served.got(bad).reset == NGHTTP2_PROTOCOL_ERROR);
    CHECK(served.cells.malformed(http::errc::bad_field) == 1);
}
