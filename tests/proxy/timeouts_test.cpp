// SPDX-License-Identifier: Apache-2.0
// Every wait of an exchange ends on time, on a clock that the test moves.
#include "proxy/http/websocket.hpp"
#include "tests/proxy/street.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy::test;

namespace {

const std::string get = "GET /app HTTP/1.1\r\nHost: a.example\r\n\r\n";
const std::string hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string handshake =
    "GET /app HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
    "13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
const std::string switched =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    "ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

std::string post(std::size_t length, const std::string& field = "") {
    return "POST /app HTTP/1.1\r\nHost: a.example\r\n" + field + "Content-Length: " + std::to_string(length) +
           "\r\n\r\n";
}

}  // namespace

TEST_CASE("a client that says nothing is let go without a word", "[proxy][timeouts]") {
    Street street;
    street.nearly(street.client_timeouts().first_request);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.closed());
    CHECK(street.client_got.empty());
}

TEST_CASE("a request head has a time for all of it, however busily it trickles", "[proxy][timeouts]") {
    Street street;
    const auto longest = street.client_timeouts().header;
    std::size_t sent = 0;
    REQUIRE(street.client_sends(get.substr(sent++, 1)));
    for (; sent <= 9; ++sent) {
        street.pass(longest / 10);
        REQUIRE(street.client_sends(get.substr(sent, 1)));
    }
    CHECK_FALSE(street.has("HTTP/1.1"));
    street.pass(longest / 10 + 600ms);
    CHECK(street.has("HTTP/1.1 408 "));
    CHECK(street.has("Connection: close\r\n"));
    CHECK(street.errors("request_timeout") == 1);
    CHECK(street.client_saw_end);
}

TEST_CASE("a connection between two requests is kept for a while", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    REQUIRE(street.origin_sends(hello));
    REQUIRE(street.has("hello"));
    street.nearly(street.client_timeouts().keepalive);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.closed());
    CHECK(street.client_saw_end);
}

TEST_CASE("a connection that is asked to go when its next request is here answers that first", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    REQUIRE(street.origin_sends(hello));
    street.client_got.clear();
    SECTION("for a newcomer") {
        REQUIRE(street.client_has_sent(get));
        REQUIRE(street.lane.evict(admin::Limit::max_connections));
    }
    SECTION("for a drain") {
        REQUIRE(street.client_has_sent(get));
        street.lane.drain();
    }
    street.settle();
    REQUIRE(street.origin_sends(hello));
    CHECK(street.has("hello"));
    CHECK(street.has("Connection: close"));
    CHECK(street.closed());
}

TEST_CASE("a connection that is asked to go and has brought nothing closes", "[proxy][timeouts]") {
    Street street;
    SECTION("for a newcomer") {
        REQUIRE(street.lane.evict(admin::Limit::max_connections));
    }
    SECTION("for a drain") {
        street.lane.drain();
    }
    street.settle();
    CHECK(street.closed());
    CHECK(street.client_got.empty());
}

TEST_CASE("a request body may pause, but not for long", "[proxy][timeouts]") {
    Street street;
    const auto longest = street.client_timeouts().body;
    REQUIRE(street.client_sends(post(10) + "abc"));
    for (int i = 0; i < 3; ++i) {
        street.nearly(longest);
        CHECK_FALSE(street.has("HTTP/1.1"));
        REQUIRE(street.client_sends("d"));
    }
    CHECK(street.origin_got.ends_with("abcddd"));
    street.pass(longest + 600ms);
    CHECK(street.has("HTTP/1.1 408 "));
    CHECK(street.errors("request_timeout") == 1);
    CHECK(street.origin_saw_end);
}

TEST_CASE("an endpoint that does not answer is 504, on time", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    CHECK_FALSE(street.origin_got.empty());
    street.nearly(street.pool_timeouts().response);
    CHECK_FALSE(street.has("HTTP/1.1"));
    street.rest();
    CHECK(street.has("HTTP/1.1 504 "));
    CHECK(street.errors("http_response_timeout") == 1);
    CHECK(street.origin_saw_end);
}

TEST_CASE("the time for an answer begins when the request has gone out", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(post(4)));
    for (const char* byte : {"a", "b", "c", "d"}) {
        street.nearly(street.client_timeouts().body);
        REQUIRE(street.client_sends(byte));
    }
    street.nearly(street.pool_timeouts().response);
    CHECK_FALSE(street.has("HTTP/1.1"));
    REQUIRE(street.origin_sends(hello));
    CHECK(street.has("hello"));
}

TEST_CASE("an answer that stops in the middle is broken off, never ended", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    REQUIRE(street.origin_sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    CHECK(street.has("5\r\nhello\r\n"));
    for (int i = 0; i < 2; ++i) {
        street.nearly(street.pool_timeouts().idle);
        CHECK_FALSE(street.client_saw_end);
        REQUIRE(street.origin_sends("1\r\nx\r\n"));
    }
    street.pass(street.pool_timeouts().idle + 600ms);
    CHECK(street.client_saw_end);
    CHECK_FALSE(street.has("0\r\n\r\n"));
    CHECK(street.errors("connection_read_timeout") == 1);
    CHECK(street.origin_saw_end);
}

TEST_CASE("a client that does not read is given up, and its endpoint freed", "[proxy][timeouts]") {
    Street street;
    street.client_reads = false;
    REQUIRE(street.client_sends(get));
    street.origin_sends("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    const std::string block(65536, 'x');
    while (street.origin_sends(block)) {
    }
    street.nearly(street.client_timeouts().write);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.origin_saw_end);
    CHECK(street.closed());
    CHECK(street.errors("write_timeout") == 1);
    CHECK(street.errors("client_gone") == 0);
}

TEST_CASE("a client that has ended its side and does not read is given up as any other", "[proxy][timeouts]") {
    Street street;
    street.client_reads = false;
    REQUIRE(street.client_sends(get));
    street.client_ends();
    street.origin_sends("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    const std::string block(65536, 'x');
    while (street.origin_sends(block)) {
    }
    street.nearly(street.client_timeouts().write);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.closed());
    CHECK(street.errors("write_timeout") == 1);
}

TEST_CASE("an endpoint that does not read a body is given up", "[proxy][timeouts]") {
    Street street;
    street.origin_reads = false;
    REQUIRE(street.client_sends(post(60'000'000)));
    const std::string block(65536, 'x');
    while (street.client_sends(block)) {
    }
    street.nearly(street.pool_timeouts().write);
    CHECK_FALSE(street.has("HTTP/1.1"));
    street.rest();
    CHECK(street.has("HTTP/1.1 504 "));
    CHECK(street.errors("connection_write_timeout") == 1);
}

TEST_CASE("silence for a second after Expect is taken for a yes", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(post(5, "Expect: 100-continue\r\n")));
    CHECK(street.origin_got.find("Expect: 100-continue\r\n") != std::string::npos);
    street.pass(500ms);
    CHECK_FALSE(street.has("HTTP/1.1"));
    street.pass(1200ms);
    CHECK(street.client_got == "HTTP/1.1 100 Continue\r\n\r\n");
    REQUIRE(street.client_sends("hello"));
    REQUIRE(street.origin_sends(hello));
    CHECK(street.has("HTTP/1.1 200 OK"));
}

TEST_CASE("a tunnel without a byte either way ends", "[proxy][timeouts]") {
    Street street(", websocket: { idle_timeout: 10m }");
    REQUIRE(street.client_sends(handshake));
    REQUIRE(street.origin_sends(switched));
    REQUIRE(street.has("HTTP/1.1 101 "));
    SECTION("bytes of either side keep it") {
        for (int i = 0; i < 4; ++i) {
            street.nearly(10min);
            const bool sent = i % 2 == 0 ? street.client_sends("\x81\x01x") : street.origin_sends("\x81\x01x");
            REQUIRE(sent);
            CHECK_FALSE(street.closed());
        }
    }
    street.nearly(10min);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.closed());
    CHECK(street.origin_saw_end);
    CHECK(street.registry.tunnels[street.registry.routes.index_of("/app")] == 0);
}

TEST_CASE("a tunnel that one side has ended lives a minute longer", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(handshake));
    REQUIRE(street.origin_sends(switched));
    street.client_ends();
    CHECK(street.origin_saw_end);
    street.nearly(60s);
    REQUIRE(street.origin_sends("still here"));
    CHECK(street.has("still here"));
    street.nearly(60s);
    CHECK_FALSE(street.closed());
    street.rest();
    CHECK(street.closed());
}

TEST_CASE("a tunnel that is to close waits for the end of a frame, but not for long", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(handshake));
    REQUIRE(street.origin_sends(switched));
    REQUIRE(street.origin_sends("\x82\x05he"));
    street.lane.close_tunnels(http::ws_going_away);
    street.settle();
    SECTION("it ends") {
        street.pass(1s);
        REQUIRE(street.origin_sends("llo"));
        CHECK(street.client_got.ends_with("hello\x88\x02\x03\xe9"));
        CHECK(street.client_saw_end);
        street.nearly(2s);  // for the client to answer
        CHECK_FALSE(street.closed());
        street.rest();
    }
    SECTION("it does not, whatever the client says") {
        const std::string ping("\x89\x80\0\0\0\0", 6);
        REQUIRE(street.client_sends(ping));
        street.nearly(10s);
        REQUIRE(street.client_sends(ping));
        CHECK_FALSE(street.closed());
        street.rest();
        CHECK(street.client_got.ends_with("he"));
        CHECK(street.client_saw_end);
    }
    CHECK(street.closed());
    CHECK(street.origin_saw_end);
}

TEST_CASE("a frame that drips does not keep a tunnel that is to close", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(handshake));
    REQUIRE(street.origin_sends(switched));
    REQUIRE(street.origin_sends("\x82\x7e\x7f\xff"));
    street.lane.close_tunnels(http::ws_going_away);
    street.settle();
    int seconds = 0;
    for (; seconds < 1000 && !street.closed(); ++seconds) {
        street.origin_sends("x");
        street.pass(1s);
    }
    CHECK((seconds >= 299 && seconds <= 302));
}

TEST_CASE("what a refused client still sends is taken in for two seconds", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends("POST /nowhere HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n"));
    CHECK(street.has("HTTP/1.1 404 "));
    CHECK(street.client_saw_end);  // of our sending; we still read
    CHECK_FALSE(street.closed());
    SECTION("in time") {
        street.pass(1800ms);
        CHECK_FALSE(street.closed());
        street.pass(1s);
    }
    SECTION("in bytes") {
        const std::string block(65536, 'x');
        for (int i = 0; i < 5 && !street.closed(); ++i) street.client_sends(block);
    }
    CHECK(street.closed());
}

TEST_CASE("a client that has closed its side is asked once whether it is there, if its answer takes a while",
          "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    street.client_ends();
    street.pass(100ms);
    CHECK(street.client_got.empty());
    street.pass(5s);
    CHECK(street.client_got == "HTTP/1.1 100 Continue\r\n\r\n");
    REQUIRE(street.origin_sends(hello));
    CHECK(street.client_got.ends_with("hello"));
}

TEST_CASE("the same if it sent its request and its end together; a client of HTTP/1.0 is not asked",
          "[proxy][timeouts]") {
    const bool old = GENERATE(true, false);
    Street street;
    REQUIRE(street.client_has_sent(old ? "GET /app HTTP/1.0\r\nHost: a.example\r\n\r\n" : get));
    street.client_ends();
    street.pass(5s);
    CHECK(street.has("HTTP/1.1 100 ") == !old);
    REQUIRE(street.origin_sends(hello));
    CHECK(street.client_got.ends_with("hello"));
}

TEST_CASE("a short answer that trickles goes on as it comes", "[proxy][timeouts]") {
    Street street;
    REQUIRE(street.client_sends(get));
    REQUIRE(street.origin_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"));
    CHECK(street.client_got.empty());
    street.pass(1s);
    CHECK(street.client_got.ends_with("\r\n\r\nhe"));
    REQUIRE(street.origin_sends("llo"));
    CHECK(street.client_got.ends_with("hello"));
}
