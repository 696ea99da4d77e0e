// SPDX-License-Identifier: Apache-2.0
// 256 x position: which bytes are let through where, and that no other byte anywhere changes a meaning unseen.
#include <catch2/catch.hpp>

#include <bitset>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

using ByteSet = std::bitset<256>;

ByteSet set_of(std::string_view bytes) {
    ByteSet set;
    for (char c : bytes) set.set(static_cast<unsigned char>(c));
    return set;
}
ByteSet range(unsigned first, unsigned last) {
    ByteSet set;
    for (unsigned c = first; c <= last; ++c) set.set(c);
    return set;
}

// RFC 9110, sections 5.6.2 and 5.5, written down once more.
const ByteSet tchar = set_of("!#$%&'*+-.^_`|~") | range('0', '9') | range('a', 'z') | range('A', 'Z');
const ByteSet field_text = range(0x20, 0x7e) | range(0x80, 0xff) | set_of("\t");
const ByteSet visible = range(0x21, 0x7e);

// Was it one head, with nothing left behind it?
bool is_whole(std::string_view verdict) {
    return verdict.size() > 3 && verdict.substr(verdict.size() - 3) == " | ";
}

template <class Read>
ByteSet accepted(std::string_view before, std::string_view after, Read read) {
    ByteSet set;
    for (unsigned c = 0; c < 256; ++c) {
        const std::string bytes = std::string(before) + static_cast<char>(c) + std::string(after);
        if (is_whole(at_every_cut(bytes, read))) set.set(c);
    }
    return set;
}

ByteSet in_request(std::string_view before, std::string_view after) {
    return accepted(before, after, [](std::string_view in, const Cuts& cuts) { return request(in, cuts); });
}
ByteSet in_response(std::string_view before, std::string_view after) {
    return accepted(before, after, [](std::string_view in, const Cuts& cuts) { return response(in, cuts); });
}

// Every single byte of `seed` replaced by every other: whatever is accepted must be written as it is read.
template <class Check>
void mutate(std::string_view seed, Check check) {
    for (std::size_t at = 0; at < seed.size(); ++at) {
        for (unsigned c = 0; c < 256; ++c) {
            std::string bytes(seed);
            bytes[at] = static_cast<char>(c);
            check(bytes);
        }
    }
}

}  // namespace

TEST_CASE("the bytes let through in a request are those of the grammar", "[http][request][bytes]") {
    CHECK(in_request("M", "M / HTTP/1.1\r\nHost: a\r\n\r\n") == tchar);
    CHECK(in_request("GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n") == (visible & ~set_of("#%\\")));
    CHECK(in_request("GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n") == (visible & ~set_of("#")));
    CHECK(in_request("GET / HTTP/1.1\r\nHost: a\r\nn", "n: v\r\n\r\n") == (tchar | set_of(":")));
    CHECK(in_request("GET / HTTP/1.1\r\nHost: a\r\n", ": v\r\n\r\n") == tchar);
    CHECK(in_request("GET / HTTP/1.1\r\nHost: a\r\nn: v", "v\r\n\r\n") == field_text);
    CHECK(in_request("GET / HTTP/1.1\r\nHost: a\r\nn:", "\r\n\r\n") == field_text);
    CHECK(in_request("GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n") ==
          (set_of("-._") | range('0', '9') | range('a', 'z') | range('A', 'Z')));
}

TEST_CASE("the bytes let through in an answer are those of the grammar", "[http][response][bytes]") {
    CHECK(in_response("HTTP/1.1 200 O", "K\r\n\r\n") == field_text);
    CHECK(in_response("HTTP/1.1 200 OK\r\nn", "n: v\r\n\r\n") == (tchar | set_of(":")));
    CHECK(in_response("HTTP/1.1 200 OK\r\nn: v", "v\r\n\r\n") == field_text);
    CHECK(in_response("HTTP/1.1 ", "00 OK\r\n\r\n") == range('1', '9'));
    CHECK(in_response("HTTP/1.1 2", "0 OK\r\n\r\n") == range('0', '9'));
    CHECK(in_response("HTTP/1.", " 200 OK\r\n\r\n") == set_of("01"));
}

TEST_CASE("a WebSocket handshake holds no byte from 0x80 on, where servers split lines", "[http][request][bytes]") {
    const std::string_view before =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: v";
    CHECK(in_request(before, "v\r\n\r\n") == (range(0x20, 0x7e) | set_of("\t")));
    const Limits lenient{.upgrade_obs_text = true};
    const std::string bytes = std::string(before) + "\x85v\r\n\r\n";
    CHECK(request(bytes, Cuts{bytes.size()}, lenient).find("websocket") != std::string::npos);
}

TEST_CASE("no changed byte of a request passes unseen or splits it", "[http][request][bytes]") {
    const std::string_view seed =
        "POST /a%41?b HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12\r\nConnection: close, x\r\nX_y: v w\r\n\r\n";
    mutate(seed, [&](const std::string& bytes) {
        const std::string whole = request(bytes, Cuts{bytes.size()});
        if (whole != request(bytes, single_bytes(bytes.size()))) FAIL(bytes);
        if (whole.find(" | ") == std::string::npos) return;
        RequestReader reader;
        auto message = std::make_unique<Request>();
        const ReadResult result = reader.read(bytes, *message);
        REQUIRE(result.head_size == bytes.size());
        for (const Field& field : message->fields) {
            if (!is_token(field.name) || !is_field_value(field.value)) FAIL(bytes);
        }
        char buffer[512];
        HeadWriter writer(buffer);
        writer.request_line(message->method_text, message->target);
        for (const Field& field : message->fields) writer.field(field.name, field.value);
        writer.end_head();
        const std::string again = request(writer.text(), Cuts{writer.size()});
        if (message->absolute_form || message->version == Version::http10) return;
        if (again.substr(0, again.rfind(" | ")) != whole.substr(0, whole.rfind(" | "))) FAIL(bytes + again);
    });
    SUCCEED();
}

TEST_CASE("no changed byte of an answer passes unseen or splits it", "[http][response][bytes]") {
    const std::string_view seed =
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\nSet-Cookie: a=b; c\r\n\r\n";
    mutate(seed, [](const std::string& bytes) {
        const std::string whole = response(bytes, Cuts{bytes.size()});
        if (whole != response(bytes, single_bytes(bytes.size()))) FAIL(bytes);
        if (whole.find(" | ") == std::string::npos) return;
        if (!is_whole(whole)) FAIL(bytes);
    });
    SUCCEED();
}

}  // namespace edgeproxy::http::test
