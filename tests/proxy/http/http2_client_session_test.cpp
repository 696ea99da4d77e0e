// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_client_session.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

using namespace edgeproxy::http;
using namespace std::string_literals;

namespace {

constexpr std::uint8_t data = 0, headers = 1, rst = 3, settings = 4, push = 5, ping = 6, goaway = 7;
constexpr std::uint8_t end_stream = 1, end_headers = 4;

/// RFC 9113, section 4.1.
std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, const std::string& payload = {}) {
    std::string out(9, '\0');
    for (unsigned i = 0; i < 3; ++i) out[i] = static_cast<char>(payload.size() >> (16 - 8 * i));
    out[3] = static_cast<char>(type);
    out[4] = static_cast<char>(flags);
    for (unsigned i = 0; i < 4; ++i) out[5 + i] = static_cast<char>(stream >> (24 - 8 * i));
    return out + payload;
}

const std::string ok_head = "\x88";                  // :status 200 in HPACK
const std::string early_head = "\x08\x03"s + "103";  // :status 103

struct Asked final : Http2ClientStream {
    explicit Asked(Trailers& trailers) : Http2ClientStream(trailers) { answer.begin(memory); }
    std::vector<char> memory = std::vector<char>(100'000);
    std::string body;
    bool told_closed = false;
};

/// A session and whoever owns it, with what was written so far.
struct Link final : Http2ClientEvents {
    Http2ClientSession session{*this};
    Trailers trailers;
    std::string written;
    unsigned pongs = 0;
    std::chrono::steady_clock::time_point now{};

    Link() {
        trailers.clear();
        drain();
    }
    void greet(const std::string& values = {}) { feed(frame(settings, 0, 0, values)); }
    void feed(const std::string& bytes) {
        session.feed(bytes, now);
        drain();
    }
    void drain() {
        std::vector<char> room(3 * Http2ClientSession::frame_room);
        while (const std::size_t size = session.write(room)) written.append(room.data(), size);
    }
    std::unique_ptr<Asked> ask(std::string_view body = {}, bool end = true) {
        auto asked = std::make_unique<Asked>(trailers);
        REQUIRE(session.request(*asked, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http", body, end, {}));
        drain();
        return asked;
    }
    /// A frame of this type was written.
    bool wrote(std::uint8_t type) const {
        constexpr std::size_t preface = 24;
        for (std::size_t at = preface; at + 9 <= written.size();) {
            const auto byte = [&](std::size_t i) {
                return static_cast<std::size_t>(static_cast<unsigned char>(written[at + i]));
            };
            if (byte(3) == type) return true;
            at += 9 + (byte(0) << 16) + (byte(1) << 8) + byte(2);
        }
        return false;
    }

    bool more_memory(Http2ClientStream&) override { return false; }
    void head_done(Http2ClientStream&) override {}
    bool data(Http2ClientStream& stream, std::string_view bytes) override {
        static_cast<Asked&>(stream).body += bytes;
        return true;
    }
    void input_ended(Http2ClientStream&) override {}
    void output_taken(Http2ClientStream&) override {}
    void closed(Http2ClientStream& stream) override { static_cast<Asked&>(stream).told_closed = true; }
    void pong() override { ++pongs; }
};

}  // namespace

TEST_CASE("an answer comes with its interim heads, body and trailers", "[http][http2]") {
    Link link;
    CHECK(link.session.allowed_streams() == 0);  // not before the server has spoken
    link.greet();
    CHECK(link.session.allowed_streams() == Http2ClientSession::max_streams);
    const auto asked = link.ask();
    CHECK(asked->output_ended());
    link.feed(frame(headers, end_headers, 1, early_head));
    link.feed(frame(headers, end_headers, 1, ok_head));
    link.feed(frame(data, 0, 1, "hello"));
    link.feed(frame(headers, end_headers | end_stream, 1, "\x40\x01"s + "a" + "\x01" + "b"));
    CHECK(asked->answer.waiting() == 2);
    Response response;
    REQUIRE(asked->answer.read(Method::get, response) == errc::ok);
    CHECK(response.status == 103);
    REQUIRE(asked->answer.read(Method::get, response) == errc::ok);
    CHECK(response.status == 200);
    CHECK(asked->body == "hello");
    REQUIRE(link.trailers.fields().size() == 1);
    CHECK(link.trailers.fields()[0].value == "b");
    CHECK(asked->input_ended());
    CHECK(asked->told_closed);
    CHECK_FALSE(asked->refused());
}

TEST_CASE("the server's limit of streams is known", "[http][http2]") {
    Link link;
    link.greet("\0\3\0\0\0\5"s);
    CHECK(link.session.allowed_streams() == 5);
}

TEST_CASE("what the server has not looked at is known to be so", "[http][http2]") {
    Link link;
    link.greet();
    const auto first = link.ask(), second = link.ask(), third = link.ask();
    SECTION("GOAWAY names the last that it looked at") {
        link.feed(frame(goaway, 0, 0, "\0\0\0\1\0\0\0\0"s));
        CHECK(link.session.closing());
        CHECK_FALSE(first->refused());
        CHECK(second->refused());
        CHECK(third->refused());
        link.feed(frame(headers, end_headers | end_stream, 1, ok_head));
        CHECK(first->input_ended());
        CHECK_FALSE(link.session.wants_input());
        CHECK_FALSE(link.session.misbehaved());
    }
    SECTION("REFUSED_STREAM") {
        link.feed(frame(rst, 0, 3, "\0\0\0\7"s));
        CHECK(second->refused());
        CHECK_FALSE(link.session.closing());
    }
    SECTION("any other reset says nothing") {
        link.feed(frame(rst, 0, 3, "\0\0\0\2"s));
        CHECK(second->told_closed);
        CHECK_FALSE(second->refused());
    }
}

TEST_CASE("a server that breaks the rules loses the stream, or the connection", "[http][http2]") {
    Link link;
    link.greet();
    const auto asked = link.ask();
    SECTION("a head without a status") {
        link.feed(frame(headers, end_headers, 1, "\x40\x01"s + "a" + "\x01" + "b"));
        CHECK(asked->malformed());
        CHECK(link.wrote(rst));
        CHECK(link.session.wants_input());
    }
    SECTION("a push") {
        link.feed(frame(push, end_headers, 1, "\0\0\0\2"s + "\x82\x86\x84"));
        CHECK(link.session.misbehaved());
        CHECK(link.wrote(goaway));
    }
    SECTION("a body beyond the window") {
        link.feed(frame(headers, end_headers, 1, ok_head));
        for (int i = 0; i < 5; ++i) link.feed(frame(data, 0, 1, std::string(16384, 'x')));
        CHECK((asked->malformed() || link.session.misbehaved()));
    }
    SECTION("a head without end") {
        link.feed(frame(headers, 0, 1, ok_head));
        for (int i = 0; i < 20; ++i) link.feed(frame(9, 0, 1));
        CHECK(link.session.misbehaved());
        CHECK_FALSE(link.session.wants_input());
    }
}

TEST_CASE("small talk is bounded by its share of what is of use", "[http][http2]") {
    const auto [type, size] =
        GENERATE(table<std::uint8_t, std::size_t>({{ping, 8}, {settings, 0}, {std::uint8_t{0xbe}, 3}}));
    Link link;
    link.greet();
    const auto asked = link.ask();
    link.feed(frame(headers, end_headers, 1, ok_head));
    for (int i = 0; i < 150; ++i) link.feed(frame(type, 0, 0, std::string(size, 'x')));
    CHECK_FALSE(link.session.misbehaved());
    SECTION("with an answer it may go on") {
        for (int i = 0; i < 2000; ++i) {
            link.feed(frame(type, 0, 0, std::string(size, 'x')));
            link.feed(frame(data, 0, 1, "x"));
            link.session.consume(*asked, 1);
        }
        CHECK_FALSE(link.session.misbehaved());
    }
    SECTION("without it the connection ends") {
        for (int i = 0; i < 2000; ++i) link.feed(frame(type, 0, 0, std::string(size, 'x')));
        CHECK(link.session.misbehaved());
        CHECK(link.wrote(goaway));
    }
}

TEST_CASE("a body waits for the server's window, and its memory is told free", "[http][http2]") {
    Link link;
    link.greet();
    const std::string body(100'000, 'x');
    const auto asked = link.ask(body, true);
    CHECK(asked->output_left() == body.size() - 65'535);
    CHECK_FALSE(asked->output_taken());
    link.feed(frame(8, 0, 0, "\0\1\0\0"s));
    link.feed(frame(8, 0, 1, "\0\1\0\0"s));
    CHECK(asked->output_taken());
    CHECK(asked->output_ended());
}

TEST_CASE("a PING is answered, ours is told of", "[http][http2]") {
    Link link;
    link.greet();
    link.feed(frame(ping, 0, 0, "12345678"));
    CHECK(link.wrote(ping));
    link.session.ping();
    link.drain();
    link.feed(frame(ping, 1, 0, std::string(8, '\0')));
    CHECK(link.pongs == 1);
}
