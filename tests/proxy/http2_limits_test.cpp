// SPDX-License-Identifier: Apache-2.0
#include "errors.hpp"
#include "proxy/http2_memory.hpp"
#include "tests/proxy/http2_served.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;
using admin::Http2End;
using admin::Limit;
using admin::SlowStream;
using http::Glitch;

namespace {

const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "");
const std::string get_small = std::string("\x82\x87\x04\x06/small\x41\x01") + "a";
const std::string get_large = std::string("\x82\x87\x04\x06/large\x41\x01") + "a";

std::uint64_t count(const Served& served, Http2End end) {
    return served.cells.http2().ended[static_cast<std::size_t>(end)].value();
}
std::uint64_t count(const Served& served, SlowStream reason) {
    return served.cells.http2().slow[static_cast<std::size_t>(reason)].value();
}
std::uint64_t count(const Served& served, Glitch glitch) {
    return served.cells.http2().glitches[static_cast<std::size_t>(glitch)].value();
}

/// The client's windows for new streams are of this size.
void window(Served& served, std::uint32_t size) {
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, size};
    nghttp2_submit_settings(served.client.raw(), NGHTTP2_FLAG_NONE, &entry, 1);
}

std::shared_ptr<config::Config> patient() {
    auto config = plan();
    config->listeners[0].timeouts.write = 1h;
    config->listeners[0].limits.response_rate = 0;
    return config;
}

void reset_streams(Served& served, unsigned times, std::uint32_t& id) {
    for (unsigned i = 0; i < times; ++i, id += 2)
        served.raw(frame(1, 5, id, get_small) + frame(3, 0, id, std::string("\0\0\0\x08", 4)));
}

}  // namespace

TEST_CASE("a client that never acknowledges our SETTINGS is let go", "[proxy][h2]") {
    Served served{plan(), false};
    served.raw(preface + frame(1, 4, 1, get_small));  // a stream that stays open: not idle
    served.pass(9s);
    CHECK_FALSE(served.closed());
    served.pass(3s);
    CHECK(served.closed());
    CHECK(served.goaway() == NGHTTP2_SETTINGS_TIMEOUT);
    CHECK(count(served, Http2End::settings_timeout) == 1);
}

TEST_CASE("a client that says nothing but HTTP/2's greeting is let go", "[proxy][h2]") {
    Served served;
    served.pass(9s);
    CHECK_FALSE(served.closed());
    served.pass(4s);
    CHECK(served.closed());
    CHECK(count(served, Http2End::idle) == 1);
    CHECK(served.cells.hits(Limit::first_request) == 1);
}

TEST_CASE("a client that does not end its head is let go", "[proxy][h2]") {
    Served served{plan(), false};
    served.raw(preface + frame(1, 1, 1, get_small));  // without END_HEADERS
    served.pass(7s);
    CHECK_FALSE(served.closed());
    served.pass(4s);
    CHECK(served.closed());
    CHECK(count(served, Http2End::header_timeout) == 1);
    CHECK(served.cells.hits(Limit::header) == 1);
}

TEST_CASE("a silent client with an open stream is asked whether it lives", "[proxy][h2]") {
    Served served{patient()};
    window(served, 0);
    served.get("/large");
    SECTION("it does") {
        served.pass(10min);
        CHECK_FALSE(served.closed());
        CHECK(served.lane.reactor.spawned() == 2);
    }
    SECTION("it does not") {
        served.talks = false;
        served.pass(66s);
        CHECK_FALSE(served.closed());
        served.pass(15s);
        CHECK(served.closed());
        CHECK(served.lane.reactor.spawned() == 0);
        CHECK(count(served, Http2End::ping_timeout) == 1);
    }
}

TEST_CASE("an old connection is asked to end, and what is open is served", "[proxy][h2]") {
    auto config = patient();
    config->listeners[0].timeouts.connection_age = 100s;
    Served served{config};
    window(served, 0);
    const auto id = served.get("/large");
    served.pass(95s);
    CHECK(served.client.goaways.empty());
    served.pass(20s);
    CHECK_FALSE(served.client.goaways.empty());
    CHECK_FALSE(served.closed());
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, id, 300'000);
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, 0, 300'000);
    served.settle();
    CHECK(served.got(id).body == large_body);
    CHECK(served.closed());
    CHECK(count(served, Http2End::age) == 1);
}

TEST_CASE("a reader that drips loses its stream while a slow but steady one does not", "[proxy][h2]") {
    Served served{plan(), false};
    const std::string no_window("\0\x04\0\0\0\0", 6);
    served.raw(preface + frame(4, 1, 0, "") + frame(4, 0, 0, no_window) + frame(1, 5, 1, get_large));
    const bool drips = GENERATE(true, false);
    const std::string step = drips ? std::string("\0\0\0\x01", 4) : std::string("\0\0\x04\x40", 4);
    for (int second = 0; second < 45 && !served.find(3, 1); ++second) {
        served.raw(frame(8, 0, 1, step));
        served.pass(1s);
    }
    CHECK(served.find(3, 1).value_or("none") == (drips ? std::string("\0\0\0\x08", 4) : "none"));
    CHECK(count(served, SlowStream::response_rate) == (drips ? 1 : 0));
    CHECK(served.cells.hits(Limit::response_rate) == (drips ? 1 : 0));
    CHECK(count(served, Glitch::slow_reader) == (drips ? 1 : 0));
    CHECK(errors_of(served.cells, served.registry, "response_rate") == (drips ? 1 : 0));
    CHECK_FALSE(served.closed());
}

TEST_CASE("a client that opens stream after stream and reads none is let go", "[proxy][h2]") {
    Served served;
    window(served, 0);
    for (int i = 0; i < 6 && !served.closed(); ++i) {
        served.get("/large");
        served.pass(8s);
    }
    CHECK(served.closed());
    CHECK(count(served, SlowStream::write_timeout) >= 1);
    CHECK(count(served, Http2End::stalled) == 1);
    CHECK(served.cells.hits(Limit::write) == 1 + count(served, SlowStream::write_timeout));
}

TEST_CASE("a client that takes nothing at all is let go", "[proxy][h2]") {
    auto config = plan();
    const bool by_rate = GENERATE(true, false);
    if (by_rate) config->listeners[0].timeouts.write = 1h;
    if (!by_rate) config->listeners[0].limits.response_rate = 0;
    config->routes.push_back(fixed("/huge", std::string(8'000'000, 'x')));
    Served served{config};
    window(served, 100'000'000);
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, 0, 100'000'000);
    served.settle();
    served.reads = false;
    served.get("/huge");
    served.pass(15s);
    CHECK(served.lane.reactor.spawned() > 0);
    served.pass(50s);
    CHECK(served.lane.reactor.spawned() == 0);
    CHECK(count(served, by_rate ? Http2End::response_rate : Http2End::write_timeout) == 1);
    CHECK(errors_of(served.cells, served.registry, by_rate ? "response_rate" : "write_timeout") == 1);
    CHECK(served.cells.hits(by_rate ? Limit::response_rate : Limit::write) == 1);
}

TEST_CASE("while memory is short a connection loses its largest streams, not all of them", "[proxy][h2]") {
    Served served;
    window(served, 0);
    const std::int32_t first = served.get("/large"), second = served.get("/large");
    served.lane.cut(1);
    served.settle();
    CHECK(served.cells.hits(Limit::memory_cutting) == 1);
    CHECK(errors_of(served.cells, served.registry, "memory_cutting") == 1);
    CHECK_FALSE(served.closed());
    CHECK(served.client.goaways.empty());
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, first, 300'000);
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, second, 300'000);
    nghttp2_submit_window_update(served.client.raw(), NGHTTP2_FLAG_NONE, 0, 300'000);
    served.settle();
    CHECK((served.got(first).body == large_body) != (served.got(second).body == large_body));
}

TEST_CASE("a body waits in memory up to the window, a wider one as well", "[proxy][h2]") {
    io::BufferPool pool;
    const std::size_t window = GENERATE(64u * 1024, 200'000u);
    Http2Body body(pool, window);
    std::string expected, got;
    for (int round = 0; round < 3; ++round) {
        for (std::size_t size = 0; size < window;) {
            const std::string piece(std::min<std::size_t>(window - size, 1000 + size % 777),
                                    static_cast<char>('a' + size % 26));
            REQUIRE(body.push(piece));
            expected += piece;
            size += piece.size();
        }
        CHECK(body.size() == window);
        CHECK(body.held() <= window + 2 * io::BufferPool::small);
        while (!body.empty()) {
            const std::string_view front = body.front();
            got += front.substr(0, 5000);
            body.pop(std::min<std::size_t>(front.size(), 5000));
        }
        CHECK(got == expected);
    }
    CHECK(body.held() == 0);
    // More than any window allows is refused, and takes no memory.
    CHECK_FALSE(body.push(std::string(window + 3 * io::BufferPool::small, 'x')));
    CHECK(body.held() <= window + 3 * io::BufferPool::small);
}

TEST_CASE("a wasteful client's new streams wait, then the connection ends", "[proxy][h2]") {
    Served served{plan(), false};
    served.raw(preface);
    std::uint32_t id = 1;
    reset_streams(served, 151, id);
    CHECK(count(served, Glitch::client_reset) == 151);
    CHECK(served.cells.http2().delayed.value() == 0);
    served.raw(frame(1, 5, id, get_small));
    CHECK(served.cells.http2().delayed.value() == 1);
    CHECK_FALSE(served.find(1, id));
    served.pass(150ms);
    CHECK(served.find(1, id));
    id += 2;
    SECTION("at the end of its budget") {
        reset_streams(served, 50 - 1, id);
        CHECK(served.goaway() == -1);
        reset_streams(served, 4, id);  // some was forgiven meanwhile
        CHECK(served.goaway() == NGHTTP2_ENHANCE_YOUR_CALM);
        CHECK(served.lane.reactor.spawned() > 0);  // it may take our last words ...
        served.pass(1s);                           // ... but does not hang up
        CHECK(served.lane.reactor.spawned() == 0);
        CHECK(count(served, Http2End::glitches) == 1);
    }
    SECTION("unless it behaves") {
        served.pass(5s);
        served.raw(frame(1, 5, id, get_small));
        CHECK(served.find(1, id));
        CHECK(served.cells.http2().delayed.value() == 1);
    }
}

TEST_CASE("a stream that waits for its turn may be reset, or its connection lost", "[proxy][h2]") {
    Served served{plan(), false};
    served.raw(preface);
    std::uint32_t id = 1;
    reset_streams(served, 151, id);
    served.raw(frame(1, 5, id, get_small) + frame(1, 5, id + 2, get_small));
    if (GENERATE(true, false)) {
        served.raw(frame(3, 0, id, std::string("\0\0\0\x08", 4)));
        served.pass(1s);
        CHECK_FALSE(served.find(1, id));
        CHECK(served.find(1, id + 2));
    } else {
        served.far.reset();
        served.pass(1s);
        CHECK(served.lane.reactor.spawned() == 0);
        CHECK(count(served, Http2End::client) == 1);
    }
}

TEST_CASE("connections that end in order are counted by why", "[proxy][h2]") {
    auto config = plan();
    config->listeners[0].limits.requests_per_connection = 2;
    Served served{config};
    const auto why = GENERATE(Http2End::idle, Http2End::requests, Http2End::drain, Http2End::protocol_error);
    served.get("/small");
    if (why == Http2End::idle) served.pass(70s);
    if (why == Http2End::requests) served.get("/small");
    if (why == Http2End::drain) served.lane.drain();
    if (why == Http2End::protocol_error) served.raw(frame(0, 0, 0, "DATA on no stream"));
    served.settle();
    served.pass(3s);
    INFO(admin::word(why));
    CHECK(served.closed());
    CHECK(count(served, why) == 1);
}

TEST_CASE("what a connection may hold is what is written", "[proxy][h2]") {
    constexpr std::size_t mib = 1024 * 1024;
    STATIC_REQUIRE(most_http2_memory(100) <= 45 * mib);
    STATIC_REQUIRE(most_http2_memory(1) <= 2 * mib);
    STATIC_REQUIRE(most_http2_memory(100, 4 * mib) == most_http2_memory(100) + 3 * mib);
    STATIC_REQUIRE(Http2Body::most_buffers(http::Http2Options{}.stream_window) * io::BufferPool::small <=
                   http::Http2Options{}.stream_window + 2 * io::BufferPool::small);
}
