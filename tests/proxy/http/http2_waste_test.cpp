// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/http2_peer.hpp"

namespace edgeproxy::http::test {
namespace {

constexpr unsigned type_data = 0, type_headers = 1, type_priority = 2, type_rst = 3, type_settings = 4, type_ping = 6,
                   type_window_update = 8, type_continuation = 9, type_unknown = 77;
constexpr unsigned end_stream = 1, end_headers = 4, padded = 8;

/// HPACK of ":method GET, :scheme https, :path /, :authority a" without Huffman (RFC 7541, appendix A).
const std::string plain_get = "\x82\x87\x84\x41\x01"s + "a";
const std::string cancel = "\0\0\0\x08"s;

std::string get(std::uint32_t id, unsigned flags = end_stream | end_headers) {
    return frame(type_headers, flags, id, plain_get);
}

/// The code of a GOAWAY among these frames, or -1.
int goaway(const std::string& bytes) {
    for (std::size_t at = 0; at + 9 <= bytes.size();) {
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
        const std::size_t length =
            static_cast<std::size_t>(byte(0)) << 16 | static_cast<std::size_t>(byte(1)) << 8 | byte(2);
        if (byte(3) == 7) return byte(9 + 7);
        at += 9 + length;
    }
    return -1;
}

/// A client that does the same thing again and again, on a new stream each time if it needs one.
struct Attack {
    const char* name;
    std::string (*turn)(std::uint32_t id);
    Glitch glitch;
    unsigned most;  ///< turns until it is over
    bool refuses = false;
};

const std::vector<Attack> attacks{
    {"streams that are reset", [](std::uint32_t id) { return get(id) + frame(type_rst, 0, id, cancel); },
     Glitch::client_reset, 201},
    {"resets of nothing", [](std::uint32_t id) { return (id == 1 ? get(1) : ""s) + frame(type_rst, 0, 1, cancel); },
     Glitch::client_reset, 201},
    {"names in upper case",
     [](std::uint32_t id) { return frame(type_headers, end_stream | end_headers, id, plain_get + "\x40\x01X\x01v"s); },
     Glitch::server_reset, 201},
    {"windows that overflow",
     [](std::uint32_t id) { return get(id) + frame(type_window_update, 0, id, "\x7f\xff\xff\xff"s); },
     Glitch::server_reset, 201},
    {"a length that the body does not keep",
     [](std::uint32_t id) {
         const std::string head = plain_get + "\x0f\x0d\x01\x35"s;  // content-length: 5
         return frame(type_headers, end_headers, id, head) + frame(type_data, end_stream, id, "x");
     },
     Glitch::server_reset, 201},
    {"streams that depend on themselves",
     [](std::uint32_t id) {
         const std::string itself{0, 0, static_cast<char>(id >> 8), static_cast<char>(id & 255), 1};
         return get(id, end_headers) + frame(type_priority, 0, id, itself);
     },
     Glitch::server_reset, 201},
    {"more streams than it may have", [](std::uint32_t id) { return get(id); }, Glitch::refused_stream, 201, true},
    {"PING", [](std::uint32_t) { return frame(type_ping, 0, 0, "12345678"); }, Glitch::ping, 211},
    {"SETTINGS", [](std::uint32_t) { return frame(type_settings, 0, 0, ""); }, Glitch::settings, 206},
    {"DATA without a byte",
     [](std::uint32_t id) { return (id == 1 ? get(1, end_headers) : ""s) + frame(type_data, 0, 1, ""); },
     Glitch::empty_data, 201},
    {"DATA of padding only",
     [](std::uint32_t id) {
         return (id == 1 ? get(1, end_headers) : ""s) + frame(type_data, padded, 1, "\x03\0\0\0"s);
     },
     Glitch::empty_data, 201},
    {"heads that end nothing",
     [](std::uint32_t id) {
         // On a stream that we have reset, so that the library looks away.
         const std::string bad = frame(type_headers, end_headers, 1, plain_get + "\x40\x01X\x01v"s);
         return id == 1 ? bad : frame(type_headers, end_headers, 1, "\x82"s);
     },
     Glitch::stray_headers, 202},
    {"PRIORITY", [](std::uint32_t id) { return frame(type_priority, 0, id + 2, "\0\0\0\x01\x01"s); }, Glitch::priority,
     201},
    {"frames that nobody knows", [](std::uint32_t) { return frame(type_unknown, 0, 0, "?"); }, Glitch::unknown_frame,
     201},
    {"windows that grow by a byte", [](std::uint32_t) { return frame(type_window_update, 0, 0, "\0\0\0\x01"s); },
     Glitch::window_update, 301},
    {"windows of streams that are over",
     [](std::uint32_t id) {
         return (id == 1 ? get(1) + frame(type_rst, 0, 1, cancel) : ""s) +
                frame(type_window_update, 0, 1, "\0\0\0\x01"s);
     },
     Glitch::window_update, 301},
};

}  // namespace

TEST_CASE("a client that wastes our time is told to calm down, whatever it does", "[http][h2]") {
    for (const Attack& attack : attacks) {
        INFO(attack.name);
        Link link;
        link.owner.refuses = attack.refuses;
        std::string said;
        unsigned turns = 0;
        for (std::uint32_t id = 1; link.owner.session.wants_input() && turns < 1000; id += 2, ++turns) {
            link.owner.session.feed(attack.turn(id), link.now);
            said = link.owner.output();
        }
        CHECK(turns >= 195);
        CHECK(turns <= attack.most);
        CHECK(link.owner.waste[attack.glitch] >= 195);
        CHECK(link.owner.session.fault() == Http2Fault::glitches);
        CHECK(goaway(said) == NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

// The library has a bound on resets of its own, twice ours and by the real clock: no more than that in one test.
TEST_CASE("a browser that leaves a page now and then is welcome", "[http][h2]") {
    Link link;
    std::uint32_t id = 1;
    for (int page = 0; page < 13; ++page, link.now += std::chrono::seconds(5)) {
        for (int i = 0; i < 100; ++i, id += 2) {
            link.owner.session.feed(get(id), link.now);
            if (i % 10 < 3) {
                link.owner.session.feed(frame(type_rst, 0, id, cancel), link.now);
            } else {
                link.owner.respond(static_cast<std::int32_t>(id), 204);
            }
            CHECK_FALSE(link.owner.session.strained(link.now));
        }
        link.owner.output();
        REQUIRE(link.owner.session.wants_input());
    }
    CHECK(link.owner.waste[Glitch::client_reset] == 13 * 30);
}

TEST_CASE("a reset behind a complete answer costs nothing", "[http][h2]") {
    Link link;
    for (std::uint32_t id = 1; id < 700; id += 2) {
        link.owner.session.feed(get(id, end_headers), link.now);
        link.owner.respond(static_cast<std::int32_t>(id), 204);
        link.owner.output();
        link.owner.session.feed(frame(type_rst, 0, id, cancel), link.now);
    }
    CHECK(link.owner.waste.empty());
}

TEST_CASE("three quarters of the budget are a warning", "[http][h2]") {
    Http2Options options;
    options.glitch_burst = 40;
    options.glitch_rate = 1;
    Link link{options};
    for (int i = 0; i < 30; ++i) link.owner.session.feed(frame(type_unknown, 0, 0, ""), link.now);
    CHECK_FALSE(link.owner.session.strained(link.now));
    link.owner.session.feed(frame(type_unknown, 0, 0, ""), link.now);
    CHECK(link.owner.session.strained(link.now));
    for (int i = 0; i < 9; ++i) link.owner.session.feed(frame(type_unknown, 0, 0, ""), link.now);
    CHECK(link.owner.session.wants_input());
    link.owner.session.feed(frame(type_unknown, 0, 0, ""), link.now);
    CHECK_FALSE(link.owner.session.wants_input());
}

TEST_CASE("nine CONTINUATION frames are too many", "[http][h2]") {
    Link link;
    link.owner.session.feed(frame(type_headers, end_stream, 1, plain_get), link.now);
    CHECK(link.owner.session.in_head());
    for (int i = 0; i < 8; ++i) link.owner.session.feed(frame(type_continuation, 0, 1, ""), link.now);
    CHECK(link.owner.session.wants_input());
    link.owner.session.feed(frame(type_continuation, 0, 1, ""), link.now);
    CHECK(goaway(link.owner.output()) == NGHTTP2_ENHANCE_YOUR_CALM);
    CHECK_FALSE(link.owner.session.wants_input());
    CHECK(link.owner.session.fault() == Http2Fault::continuation);
    CHECK(link.owner.waste[Glitch::continuation] == 1);
}

TEST_CASE("a client that asks and does not read is let go", "[http][h2]") {
    Http2Options options;
    options.glitch_burst = 100'000;
    Link link{options};
    std::string many;
    SECTION("for PING") {
        for (int i = 0; i < 300; ++i) many += frame(type_ping, 0, 0, "12345678");
    }
    SECTION("for SETTINGS") {
        for (int i = 0; i < 300; ++i) many += frame(type_settings, 0, 0, "");
    }
    link.owner.session.feed(many, link.now);
    CHECK_FALSE(link.owner.session.wants_input());
    CHECK(link.owner.session.fault() == Http2Fault::outbound_queue);
    CHECK(link.owner.waste[Glitch::outbound_queue] == 1);
}

TEST_CASE("a stream that depends on itself is reset, and only it", "[http][h2]") {
    Link link;
    link.owner.session.feed(get(1, end_headers), link.now);
    const std::string bad = frame(type_priority, 0, 1, "\0\0\0\x01\x10"s);
    const std::size_t cut = GENERATE(std::size_t{1}, std::size_t{9}, std::size_t{11}, std::size_t{14});
    const std::string all = bad + get(3);
    link.owner.session.feed(all.substr(0, cut), link.now);
    link.owner.session.feed(all.substr(cut), link.now);
    CHECK(link.owner.output().find(frame(type_rst, 0, 1, "\0\0\0\x01"s)) != std::string::npos);
    CHECK(link.owner.at(1).closed);
    CHECK(link.owner.at(3).head);
    CHECK(link.owner.session.wants_input());
}

TEST_CASE("frames on streams that the client has ended end the connection", "[http][h2]") {
    Link link;
    const auto send = [&](const std::string& bytes) {
        link.owner.session.feed(bytes, link.now);
        return link.owner.output();
    };
    send(frame(type_headers, end_stream | end_headers, 5, plain_get));
    SECTION("DATA behind its end") {
        CHECK(goaway(send(frame(type_data, 0, 5, "x"))) == 5);
    }
    SECTION("DATA behind its reset") {
        send(frame(type_rst, 0, 5, "\0\0\0\x08"s));
        CHECK(goaway(send(frame(type_data, 0, 5, "x"))) == 5);
    }
    SECTION("a head behind its reset") {
        send(frame(type_rst, 0, 5, "\0\0\0\x08"s));
        CHECK(goaway(send(frame(type_headers, end_stream | end_headers, 5, plain_get))) == 5);
    }
    SECTION("a head on a complete stream") {
        link.owner.respond(5, 204);
        link.owner.output();
        CHECK(goaway(send(frame(type_headers, end_stream | end_headers, 5, plain_get))) == 5);
    }
    SECTION("a stream with a lower number than the last") {
        CHECK(goaway(send(frame(type_headers, end_stream | end_headers, 3, plain_get))) == 1);
    }
    SECTION("but not what crossed our own reset") {
        send(frame(type_headers, end_headers, 7, plain_get));
        link.owner.session.reset(*link.owner.at(7).stream, Http2Code::internal_error);
        link.owner.output();
        CHECK(goaway(send(frame(type_data, end_stream, 7, "x"))) == -1);
        CHECK(link.owner.session.wants_input());
    }
}

TEST_CASE("a stream that depends on itself before it is opened ends the connection", "[http][h2]") {
    Link link;
    link.owner.session.feed(frame(type_priority, 0, 5, "\0\0\0\x05\x10"s), link.now);
    CHECK(goaway(link.owner.output()) == NGHTTP2_PROTOCOL_ERROR);
    CHECK(link.owner.session.fault() == Http2Fault::protocol);
}

TEST_CASE("a client acknowledges our SETTINGS, and answers when it is asked", "[http][h2]") {
    Link link;
    CHECK(link.owner.session.settings_acknowledged());
    Owner fresh;
    CHECK_FALSE(fresh.session.settings_acknowledged());
    link.owner.session.ping();
    link.owner.session.announce_end();
    const std::string asked = link.owner.output();
    link.client.feed(asked.substr(0, 17));  // the PING alone
    const std::string answer = link.client.output();
    CHECK(answer.size() == 17);
    link.owner.session.feed(answer, link.now);
    CHECK(goaway(link.owner.output()) == -1);  // not taken for the answer that ends the connection
}

}  // namespace edgeproxy::http::test
