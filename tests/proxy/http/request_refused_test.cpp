// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

struct Row {
    std::string bytes;
    errc error;
};

void check(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        INFO(row.bytes);
        CHECK(request(row.bytes) == word(row.error));
    }
}

std::string with(std::string_view field_lines) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(field_lines) + "\r\n\r\n";
}

std::string line(std::string_view first) {
    return std::string(first) + "\r\nHost: a\r\n\r\n";
}

}  // namespace

TEST_CASE("a request line that is not exactly one is refused", "[http][request]") {
    check({
        {line("GET  / HTTP/1.1"), errc::bad_request_line},
        {line("GET /  HTTP/1.1"), errc::bad_request_line},
        {line("GET / HTTP/1.1 "), errc::bad_request_line},
        {line(" GET / HTTP/1.1"), errc::bad_request_line},
        {line("GET\t/ HTTP/1.1"), errc::bad_request_line},
        {line("GET /\tHTTP/1.1"), errc::bad_target},
        {line("GET / http/1.1"), errc::bad_request_line},
        {line("GET / HTTP/1.x"), errc::bad_request_line},
        {line("GET / HTTP/1.10"), errc::bad_request_line},
        {line("GET / HTTP/11"), errc::bad_request_line},
        {line("GET / ICY/1.1"), errc::bad_request_line},
        {line("GET /"), errc::bad_request_line},  // HTTP/0.9
        {line("GET"), errc::bad_request_line},
        {line("G(T / HTTP/1.1"), errc::bad_request_line},
        {line("\x16\x03\x01\x02\x01"), errc::bad_request_line},  // TLS at a plain door
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_request_line},
        {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bare_lf},
        {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bare_cr},
        {line("get / HTTP/1.1"), errc::bad_request_line},
        {line("Post / HTTP/1.1"), errc::bad_request_line},
        {line(std::string(33, 'M') + " / HTTP/1.1"), errc::bad_request_line},
        {line("GET / HTTP/1.2"), errc::bad_version},
        {line("GET / HTTP/2.0"), errc::bad_version},
        {line("GET / HTTP/0.9"), errc::bad_version},
        {line("CONNECT a:1 HTTP/1.1"), errc::forbidden_method},
        {line("TRACE / HTTP/1.1"), errc::forbidden_method},
        {line("TRACK / HTTP/1.1"), errc::forbidden_method},
        {line("track / HTTP/1.1"), errc::bad_request_line},
        {"GET / HTTP/1.1\nHost: a\r\n\r\n", errc::bare_lf},
        {"GET / HTTP/1.1\rHost: a\r\n\r\n", errc::bare_cr},
    });
}

TEST_CASE("a request target of another form is refused", "[http][request]") {
    check({
        {line("GET a HTTP/1.1"), errc::bad_target},
        {line("GET * HTTP/1.1"), errc::bad_target},
        {line("GET ?a HTTP/1.1"), errc::bad_target},
        {line("GET a.test:80 HTTP/1.1"), errc::bad_target},
        {line("OPTIONS *a HTTP/1.1"), errc::bad_target},
        {line("GET /a#b HTTP/1.1"), errc::bad_target},
        {line("GET /a?b#c HTTP/1.1"), errc::bad_target},
        {line("GET /a\\b HTTP/1.1"), errc::bad_target},
        {line("GET /a%00b HTTP/1.1"), errc::bad_target},
        {line("GET /a%0d%0ab HTTP/1.1"), errc::bad_target},
        {line("GET /a%1f HTTP/1.1"), errc::bad_target},
        {line("GET /a%7F HTTP/1.1"), errc::bad_target},
        {line("GET /a%2 HTTP/1.1"), errc::bad_target},
        {line("GET /a% HTTP/1.1"), errc::bad_target},
        {line("GET /a%?b HTTP/1.1"), errc::bad_target},
        {line("GET /%g1 HTTP/1.1"), errc::bad_target},
        {line("GET /\xc3\xa9 HTTP/1.1"), errc::bad_target},
        {line("GET /?\xc3\xa9 HTTP/1.1"), errc::bad_target},
        {line("GET ftp://a/ HTTP/1.1"), errc::bad_target},
        {line("GET file:///etc/passwd HTTP/1.1"), errc::bad_target},
        {line("GET http://a?b HTTP/1.1"), errc::bad_target},
        {line("GET http:///x HTTP/1.1"), errc::bad_host},
        {line("GET http://u@a/ HTTP/1.1"), errc::bad_host},
        {line("GET http://a,b/ HTTP/1.1"), errc::bad_host},
        {line("GET http://a:b/ HTTP/1.1"), errc::bad_host},
        {line("GET http://a%2fb/ HTTP/1.1"), errc::bad_host},
        {"GET http://a/ HTTP/1.1\r\n\r\n", errc::no_host},
        {"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", errc::bad_host},
    });
}

TEST_CASE("a field line that is not exactly one is refused", "[http][request]") {
    check({
        {with("X : 1"), errc::bad_field},
        {with("X\t: 1"), errc::bad_field},
        {with("X"), errc::bad_field},
        {with(": 1"), errc::bad_field},
        {with("X y: 1"), errc::bad_field},
        {with("X(: 1"), errc::bad_field},
        {with("\xc3\xa9: 1"), errc::bad_field},
        {with("X: a\0b"s), errc::bad_field},
        {with("X: a\x0b"), errc::bad_field},
        {with("X: a\x1c"), errc::bad_field},
        {with("X: a\x7f"), errc::bad_field},
        {with("X: a\rb"), errc::bare_cr},
        {with("X: a\nY: b"), errc::bare_lf},
        {with("X: a\n"), errc::bare_lf},
        {with("X\nY: b"), errc::bare_lf},
        {with("X: a\r\n b"), errc::obs_fold},
        {with("X: a\r\n\tb"), errc::obs_fold},
        {"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", errc::obs_fold},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", errc::bare_lf},
        {"GET / HTTP/1.1\r\nHost: a\r\n\rx", errc::bare_cr},
    });
}

TEST_CASE("a request without exactly one strict host is refused", "[http][request]") {
    check({
        {"GET / HTTP/1.1\r\n\r\n", errc::no_host},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", errc::no_host},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", errc::duplicate_host},
        {"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", errc::duplicate_host},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", errc::bad_host},
        {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", errc::bad_host},
        {"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", errc::bad_host},
    });
}

TEST_CASE("a length that two readers could take differently is refused", "[http][request][framing]") {
    check({
        {with("Content-Length: 3\r\nTransfer-Encoding: chunked"), errc::both_lengths},
        {with("Transfer-Encoding: chunked\r\nContent-Length: 3"), errc::both_lengths},
        {with("Content-Length: 3\r\nContent-Length: 3"), errc::duplicate_length},
        {with("Content-Length: 3\r\nContent-Length: 4"), errc::duplicate_length},
        {with("Content-Length: 3, 3"), errc::bad_length},
        {with("Content-Length: 010"), errc::bad_length},
        {with("Content-Length: 00"), errc::bad_length},
        {with("Content-Length:"), errc::bad_length},
        {with("Content-Length: +3"), errc::bad_length},
        {with("Content-Length: -3"), errc::bad_length},
        {with("Content-Length: 0x3"), errc::bad_length},
        {with("Content-Length: 3 3"), errc::bad_length},
        {with("Content-Length: 3_0"), errc::bad_length},
        {with("Content-Length: 18446744073709551617"), errc::bad_length},
        {with("Content-Length: 1000000000000000000"), errc::bad_length},
        {with("Transfer-Encoding: ,chunked"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked,"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding:"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked, chunked"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked, gzip"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: \"chunked\""), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked;a=b"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: \xa0"
              "chunked"),
         errc::bad_transfer_encoding},
        {with("Transfer-Encoding: chunked x"), errc::bad_transfer_encoding},
        {with("Transfer-Encoding: \x0b"
              "chunked"),
         errc::bad_field},
        {with("Transfer-Encoding : chunked"), errc::bad_field},
        {with("Transfer-Encoding: gzip, chunked"), errc::unknown_coding},
        {with("Transfer-Encoding: gzip"), errc::unknown_coding},
        {with("Transfer-Encoding: identity"), errc::unknown_coding},
        {with("Transfer-Encoding: xchunked"), errc::unknown_coding},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errc::transfer_encoding_on_http10},
    });
}

TEST_CASE("other fields that steer a connection are strict as well", "[http][request]") {
    check({
        {with("Connection: close;x"), errc::bad_connection},
        {with("Connection: a b"), errc::bad_connection},
        {with("Expect: 200-ok"), errc::bad_expect},
        {with("Expect: 100-continue\r\nExpect: 100-continue"), errc::bad_expect},
    });
    std::string many = "Connection: x1";
    for (int i = 2; i <= 17; ++i) many += ", x" + std::to_string(i);
    CHECK(request(with(many)) == "bad_connection");
}

TEST_CASE("every error has a status: mostly 400", "[http][error]") {
    CHECK(status(errc::bad_request_line) == 400);
    CHECK(status(errc::bad_version) == 505);
    CHECK(status(errc::unknown_coding) == 501);
    CHECK(status(errc::forbidden_method) == 405);
    CHECK(status(errc::line_too_long) == 414);
    CHECK(status(errc::head_too_large) == 431);
    CHECK(status(errc::field_too_large) == 431);
    CHECK(status(errc::too_many_fields) == 431);
    CHECK(status(errc::bad_expect) == 417);
    CHECK(status(errc::bad_status_line) == 502);
}

}  // namespace edgeproxy::http::test
