// SPDX-License-Identifier: Apache-2.0
// Clients that send much at once must not keep the others waiting.
#include "tests/proxy/street.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy::test;

namespace {

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

std::string repeated(std::string_view text, int times) {
    std::string all;
    while (times-- > 0) all += text;
    return all;
}

}  // namespace

TEST_CASE("of pipelined requests only a few are answered in one turn of the loop", "[proxy][pipelining]") {
    Street street;
    constexpr std::size_t requests = 200;
    REQUIRE(street.client_has_sent(repeated("GET /nowhere HTTP/1.1\r\nHost: a.example\r\n\r\n", requests)));
    std::size_t answered = 0, most = 0;
    for (int turn = 0; turn < 1000 && answered < requests; ++turn) {
        street.lane.reactor.run_once(0ns);
        street.look();
        const std::size_t now = count(street.client_got, "HTTP/1.1 404 ");
        most = std::max(most, now - answered);
        answered = now;
    }
    CHECK(answered == requests);
    CHECK(most <= 16);  // eight as its bytes come, and eight when it goes on
}

TEST_CASE("a body in many small chunks reaches the endpoint in one piece, and an answer the client",
          "[proxy][pipelining]") {
    Street street;
    REQUIRE(street.client_sends("POST /app HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                repeated("1\r\na\r\n", 500) + "0\r\n\r\n"));
    CHECK(street.origin_got.find("Content-Length: 500\r\n") != std::string::npos);
    CHECK(street.origin_got.ends_with("\r\n\r\n" + std::string(500, 'a')));
    REQUIRE(street.origin_sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + repeated("1\r\nb\r\n", 500)));
    CHECK(street.client_got.ends_with("\r\n\r\n1f4\r\n" + std::string(500, 'b') + "\r\n"));
    REQUIRE(street.origin_sends("1\r\nc\r\n0\r\n\r\n"));
    CHECK(street.client_got.ends_with("\r\n1\r\nc\r\n0\r\n\r\n"));
}

TEST_CASE("a later part of a chunked body in many small chunks is one piece as well", "[proxy][pipelining]") {
    Street street;
    REQUIRE(
        street.client_sends("POST /app HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
    REQUIRE(street.client_sends(repeated("1\r\na\r\n", 500)));
    CHECK(street.origin_got.ends_with("\r\n1f4\r\n" + std::string(500, 'a') + "\r\n"));
    REQUIRE(street.client_sends("0\r\n\r\n"));
    CHECK(street.origin_got.ends_with("\r\n0\r\n\r\n"));
}
