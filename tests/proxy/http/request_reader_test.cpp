// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

struct Row {
    std::string_view bytes;
    std::string_view meaning;
};

}  // namespace

TEST_CASE("a request head means the same however it is cut", "[http][request]") {
    const Row rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / path=/ 1.1 host=a, no body, keep [Host=a] | "},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / path=/ 1.1 host=a, no body, keep [Host=a] | "},
        {"GET /a?b HTTP/1.1\r\nHost: a.test:8080\r\n\r\nrest",
         "GET /a?b path=/a query=b 1.1 host=a.test port=8080, no body, keep [Host=a.test:8080] | rest"},
        {"GET /? HTTP/1.0\r\n\r\n", "GET /? path=/ query= 1.0 host=, no body | "},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / path=/ 1.0 host=, no body, keep [Connection=Keep-Alive] | "},
        {"GET / HTTP/1.1\r\nhost:a\r\nconnection:\tclose \t\r\n\r\n",
         "GET / path=/ 1.1 host=a, no body [host=a] [connection=close] | "},
        {"POST /p HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 12\r\n\r\n",
         "POST /p path=/p 1.1 host=::1 port=80, length 12, keep [Host=[::1]:80] [Content-Length=12] | "},
        {"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
         "POST /p path=/p 1.1 host=a, chunked, keep, expects [Host=a] [Transfer-Encoding=Chunked] "
         "[Expect=100-Continue] | "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
         "POST / path=/ 1.1 host=a, length 0, keep [Host=a] [Content-Length=0] [Expect=100-continue] | "},
        {"PROPFIND /x HTTP/1.1\r\nHost: a\r\nTE: gzip;q=1, trailers\r\nConnection: te, X-A,, x-b\r\n\r\n",
         "PROPFIND /x path=/x 1.1 host=a, no body, keep, trailers, minus X-A, minus x-b [Host=a] "
         "[TE=gzip;q=1, trailers] [Connection=te, X-A,, x-b] | "},
        {"GET http://b.test:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET /x?y path=/x query=y absolute http 1.1 host=b.test port=81, no body, keep [Host=a] | "},
        {"GET HTTPS://b.test HTTP/1.1\r\nHost: b.test\r\n\r\n",
         "GET / path=/ absolute https 1.1 host=b.test, no body, keep [Host=b.test] | "},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * path=* 1.1 host=a, no body, keep [Host=a] | "},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb  c\xff\r\nEmpty:\r\nBlank: \t \r\nA_b: 1\r\n\r\n",
         "GET / path=/ 1.1 host=a, no body, keep [Host=a] [X=a\tb  c\xff] [Empty=] [Blank=] [A_b=1] | "},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
         "AA\r\n\r\n",
         "GET / path=/ 1.1 host=a, no body, keep, upgrade [Host=a] [Connection=upgrade, HTTP2-Settings] [Upgrade=h2c] "
         "[HTTP2-Settings=AA] | "},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization, Cookie, X-Forwarded-For, Host, "
         "Content-Length\r\n\r\n",
         "GET / path=/ 1.1 host=a, no body, keep [Host=a] "
         "[Connection=Authorization, Cookie, X-Forwarded-For, Host, Content-Length] | "},
    };
    for (const Row& row : rows) CHECK(request(row.bytes) == row.meaning);
}

TEST_CASE("a head that is not complete says so at every length, and fails no earlier", "[http][request]") {
    const std::string_view head = "\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX:\t y\t\r\n\r\n";
    for (std::size_t size = 0; size < head.size(); ++size) {
        INFO(size);
        CHECK(request(head.substr(0, size), single_bytes(size)) == "...");
        CHECK(request(head.substr(0, size), Cuts{size}) == "...");
    }
}

TEST_CASE("the reader goes on with the next request behind the body", "[http][request]") {
    const std::string_view bytes =
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\nGE";
    RequestReader reader;
    auto request = std::make_unique<Request>();
    CHECK_FALSE(reader.begun());
    ReadResult result = reader.read(bytes, *request);
    REQUIRE(result.status == ReadResult::Status::complete);
    CHECK(request->target == "/1");
    CHECK_FALSE(reader.begun());
    const std::string_view rest = bytes.substr(result.head_size + 2);
    result = reader.read(rest, *request);
    REQUIRE(result.status == ReadResult::Status::complete);
    CHECK(request->target == "/2");
    CHECK(request->body == Body{});
    CHECK(reader.read(rest.substr(result.head_size), *request).status == ReadResult::Status::incomplete);
    CHECK(reader.begun());
}

TEST_CASE("a reader that failed stays failed", "[http][request]") {
    RequestReader reader;
    auto request = std::make_unique<Request>();
    CHECK(reader.read("GET  / HTTP/1.1\r\n", *request).error == errc::bad_request_line);
    CHECK(reader.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n", *request).error == errc::bad_request_line);
}

TEST_CASE("a blank line between requests is no request begun", "[http][request]") {
    RequestReader reader;
    auto request = std::make_unique<Request>();
    CHECK(reader.read("\r\n", *request).status == ReadResult::Status::incomplete);
    CHECK_FALSE(reader.begun());
    CHECK(reader.read("\r\nG", *request).status == ReadResult::Status::incomplete);
    CHECK(reader.begun());
}

TEST_CASE("what is written in a request is what is read from it", "[http][request][writer]") {
    const std::string_view heads[] = {
        "GET /a%20b?x=[1] HTTP/1.1\r\nHost: a.test:1\r\nX-A: \x80 1\r\nx_b: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
    };
    for (std::string_view head : heads) {
        RequestReader reader;
        auto request = std::make_unique<Request>();
        REQUIRE(reader.read(head, *request).status == ReadResult::Status::complete);
        char buffer[512];
        HeadWriter writer(buffer);
        writer.request_line(request->method_text, request->target);
        for (const Field& field : request->fields) writer.field(field.name, field.value);
        writer.end_head();
        CHECK_FALSE(writer.overflowed());
        CHECK(writer.text() == head);
    }
}

}  // namespace edgeproxy::http::test
