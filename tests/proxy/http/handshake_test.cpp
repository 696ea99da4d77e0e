// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

struct Handshake {
    std::string line = "GET /ws HTTP/1.1";
    std::string upgrade = "Upgrade: websocket\r\n";
    std::string connection = "Connection: keep-alive, Upgrade\r\n";
    std::string version = "Sec-WebSocket-Version: 13\r\n";
    std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    std::string more = {};

    std::string text() const { return line + "\r\nHost: a\r\n" + upgrade + connection + version + key + more + "\r\n"; }
};

std::string asks(const Handshake& handshake) {
    const std::string meaning = request(handshake.text());
    if (meaning.find(", websocket ") != std::string::npos) return "websocket";
    if (meaning.find(", upgrade") != std::string::npos) return "upgrade";
    return meaning.find(" | ") != std::string::npos ? "nothing" : meaning;
}

}  // namespace

TEST_CASE("only an exact WebSocket handshake asks for a tunnel", "[http][websocket]") {
    CHECK(asks({}) == "websocket");
    CHECK(asks({.upgrade = "upgrade: WebSocket\r\n"}) == "websocket");
    const Handshake not_quite[] = {
        {.line = "POST /ws HTTP/1.1"},
        {.line = "HEAD /ws HTTP/1.1"},
        {.line = "GET /ws HTTP/1.0"},
        {.upgrade = "Upgrade: websocket, foo\r\n"},
        {.upgrade = "Upgrade: foo\r\nUpgrade: websocket\r\n"},
        {.upgrade = "Upgrade: h2c\r\n"},
        {.upgrade = "Upgrade: TLS/1.0\r\n"},
        {.upgrade = "Upgrade: websocket/13\r\n"},
        {.connection = "Connection: keep-alive\r\n"},
        {.connection = ""},
        {.version = "Sec-WebSocket-Version: 8\r\n"},
        {.version = "Sec-WebSocket-Version: 13, 8\r\n"},
        {.version = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n"},
        {.version = ""},
        {.key = ""},
        {.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n"},
        {.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n"},
        {.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-==\r\n"},
        {.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE3\r\n"},
        {.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"},
        {.more = "Content-Length: 5\r\n"},
        {.more = "Transfer-Encoding: chunked\r\n"},
    };
    for (const Handshake& handshake : not_quite) {
        INFO(handshake.text());
        CHECK(asks(handshake) == "upgrade");
    }
    CHECK(asks({.upgrade = ""}) == "nothing");
    CHECK(asks({.more = "Content-Length: 0\r\n"}) == "websocket");
}

}  // namespace edgeproxy::http::test
