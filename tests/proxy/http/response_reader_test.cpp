// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

struct Row {
    std::string bytes;
    std::string meaning;
    Method asked = Method::get;
};

std::string with(std::string_view field_lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string(field_lines) + "\r\n\r\n";
}

}  // namespace

TEST_CASE("an answer's head means the same however it is cut", "[http][response]") {
    const Row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 (OK) 1.1, length 2, keep [Content-Length=2] | hi"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "200 (OK) 1.1, no body, keep [Content-Length=2] | ",
         Method::head},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
         "200 () 1.1, chunked, keep [Transfer-Encoding=chunked] | "},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 () 1.1, length 0, keep [Content-Length=0] | "},
        {"HTTP/1.1 200 OK\r\n\r\n", "200 (OK) 1.1, until close | "},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", "200 (OK) 1.0, length 2 [Content-Length=2] | "},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n",
         "200 (OK) 1.0, length 2, keep [Content-Length=2] [Connection=keep-alive] | "},
        {"HTTP/1.1 204 No Content\r\n\r\n", "204 (No Content) 1.1, no body, keep | "},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nConnection: Close\r\n\r\n",
         "304 (Not Modified) 1.1, no body [Content-Length=99] [Connection=Close] | "},
        {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
         "103 (Early Hints) 1.1, no body, keep, interim [Link=</a>] | "},
        {"HTTP/1.1 100 Continue\r\n\r\n", "100 (Continue) 1.1, no body, keep, interim | "},
        {"HTTP/1.1 999 \xe9t\xe9\t!\r\nContent-Length: 1\r\n\r\n",
         "999 (\xe9t\xe9\t!) 1.1, length 1, keep [Content-Length=1] | "},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
         "x\r\n\r\n",
         "101 (Switching Protocols) 1.1, no body, keep, switching [Upgrade=WebSocket] [Connection=Upgrade] "
         "[Sec-WebSocket-Accept=x] | "},
    };
    for (const Row& row : rows) CHECK(response(row.bytes, row.asked) == row.meaning);
}

TEST_CASE("an answer that is not strictly one is refused", "[http][response]") {
    const Row rows[] = {
        {"<html>hello</html>", "bad_status_line"},
        {"hello", "bad_status_line"},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/2 200 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.2 200 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/0.9 200 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 99 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 20x OK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 200\tOK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 200 O\0K\r\n\r\n"s, "bad_status_line"},
        {"HTTP/1.1 200 O\x1bK\r\n\r\n", "bad_status_line"},
        {"HTTP/1.1 200 OK\n\r\n", "bare_lf"},
        {"HTTP/1.1 200\n\r\n", "bare_lf"},
        {"HTTP/1.1 200 O\rK\r\n\r\n", "bare_cr"},
        {with("X: a\n"), "bare_lf"},
        {with("X: a\r\n b"), "obs_fold"},
        {with("X : a"), "bad_field"},
        {with("X: a\0"s), "bad_field"},
        {with("Content-Length: 2\r\nTransfer-Encoding: chunked"), "both_lengths"},
        {with("Content-Length: 2\r\nContent-Length: 2"), "duplicate_length"},
        {with("Content-Length: 2, 2"), "bad_length"},
        {with("Content-Length: -2"), "bad_length"},
        {with("Transfer-Encoding: gzip, chunked"), "unknown_coding"},
        {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "bad_transfer_encoding"},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_on_http10"},
        {"HTTP/1.1 304 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "duplicate_length"},
        {"HTTP/1.1 101 X\r\n\r\n", "bad_switch"},
        {"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", "bad_switch"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n", "bad_switch"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "bad_switch"},
        {"HTTP/1.0 103 Early Hints\r\nLink: a\r\n\r\n", "bad_status_line"},
        {"HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
         "bad_switch"},
    };
    for (const Row& row : rows) {
        INFO(row.bytes);
        CHECK(response(row.bytes, row.asked) == row.meaning);
    }
}

TEST_CASE("an interim answer is a whole head, and the final one follows it", "[http][response]") {
    const std::string_view bytes =
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    ResponseReader reader;
    auto message = std::make_unique<Response>();
    ReadResult result = reader.read(bytes, Method::get, *message);
    REQUIRE(result.status == ReadResult::Status::complete);
    CHECK(message->interim());
    result = reader.read(bytes.substr(result.head_size), Method::get, *message);
    REQUIRE(result.status == ReadResult::Status::complete);
    CHECK(message->status == 200);
    CHECK(message->fields.size() == 1);
    CHECK(message->body == Body{Body::Kind::length, 1});
}

}  // namespace edgeproxy::http::test
