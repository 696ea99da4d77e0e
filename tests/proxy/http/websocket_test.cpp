// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/websocket.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "proxy/http/http1_reader.hpp"
#include "proxy/http/sha1.hpp"

namespace edgeproxy::http {
namespace {

std::string hex(const std::array<std::uint8_t, 20>& digest) {
    std::string out;
    for (std::uint8_t byte : digest) {
        out += "0123456789abcdef"[byte >> 4];
        out += "0123456789abcdef"[byte & 15];
    }
    return out;
}

std::string accept_of(std::string_view key) {
    const auto accept = websocket_accept(key);
    return {accept.data(), accept.size()};
}

std::string frame(unsigned char first, std::size_t size, bool masked, std::string_view length) {
    std::string out{static_cast<char>(first), static_cast<char>((masked ? 0x80 : 0) | static_cast<int>(size))};
    out += length;
    if (masked) out += "\x01\x02\x03\x04";
    return out;
}

}  // namespace

TEST_CASE("SHA-1 gives the digests of its standard", "[http][sha1]") {
    CHECK(hex(sha1("abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(hex(sha1("")) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(hex(sha1(std::string(1000000, 'a'))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    // around the places where the padding needs another block
    CHECK(hex(sha1(std::string(55, 'a'))) == "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    CHECK(hex(sha1(std::string(56, 'a'))) == "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    CHECK(hex(sha1(std::string(64, 'a'))) == "0098ba824b5c16427bd7a1122a5a442a25ec644d");
}

TEST_CASE("an accept answers its key", "[http][websocket]") {
    CHECK(accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("a tunnel opens at a 101 with the right accept and at nothing else", "[http][websocket]") {
    const auto opens = [](std::string_view head) {
        ResponseReader reader;
        auto response = std::make_unique<Response>();
        if (reader.read(head, Method::get, *response).status != ReadResult::Status::complete) return false;
        return opens_tunnel(*response, "dGhlIHNhbXBsZSBub25jZQ==");
    };
    CHECK(
        opens("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    CHECK_FALSE(
        opens("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    CHECK_FALSE(
        opens("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
}

TEST_CASE("frame boundaries are found however the stream is cut", "[http][websocket]") {
    std::string stream;
    std::vector<std::size_t> ends;
    const auto add = [&](const std::string& header, std::size_t payload) {
        stream += header + std::string(payload, '\x88');  // looks like a close frame, and is none
        ends.push_back(stream.size());
    };
    using namespace std::string_literals;
    add(frame(0x81, 5, false, ""), 5);
    add(frame(0x02, 125, true, ""), 125);
    add(frame(0x80, 126, false, "\x01\x00"s), 256);
    add(frame(0x89, 0, true, ""), 0);
    add(frame(0x8a, 0, false, ""), 0);
    add(frame(0xc1, 127, true, "\0\0\0\0\0\0\x02\0"s), 512);
    add(frame(0x82, 126, true, "\0\x03"s), 3);  // not the shortest way to say 3
    CHECK(std::size(ends) == 7);

    for (std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{130}, stream.size()}) {
        WsFrameTracker tracker;
        std::vector<std::size_t> found;
        CHECK(tracker.at_boundary());
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t end = std::min(stream.size(), at + piece);
            while (at < end) {
                const std::size_t taken = tracker.next(std::string_view(stream).substr(at, end - at));
                REQUIRE(taken > 0);
                at += taken;
                if (tracker.at_boundary()) found.push_back(at);
            }
        }
        CHECK(found == ends);
        CHECK_FALSE(tracker.close_seen());
    }
}

TEST_CASE("a close is noticed", "[http][websocket]") {
    WsFrameTracker tracker;
    tracker.follow(ws_close_to_client(ws_going_away).text());
    CHECK(tracker.at_boundary());
    CHECK(tracker.close_seen());
}

TEST_CASE("a length that cannot be ends the following", "[http][websocket]") {
    WsFrameTracker tracker;
    tracker.follow("\x82\x7f\x80");
    CHECK(tracker.broken());
    CHECK_FALSE(tracker.at_boundary());
    CHECK(tracker.next("abc") == 3);
    CHECK_FALSE(tracker.at_boundary());
}

TEST_CASE("close frames are those of either side", "[http][websocket]") {
    CHECK(ws_close_to_client(1001).text() == std::string_view("\x88\x02\x03\xe9"));
    CHECK(ws_close_to_client(1012).text() == std::string_view("\x88\x02\x03\xf4"));
    CHECK(ws_close_to_server(1001, 0x10203040).text() == std::string_view("\x88\x82\x10\x20\x30\x40\x13\xc9"));
    WsFrameTracker tracker;
    tracker.follow(ws_close_to_server(1012, 0xffffffff).text());
    CHECK(tracker.at_boundary());
    CHECK(tracker.close_seen());
}

}  // namespace edgeproxy::http
