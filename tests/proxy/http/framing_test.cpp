// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/framing.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <regex>
#include <string>

namespace edgeproxy::http {
namespace {

using Kind = Body::Kind;

std::unique_ptr<Fields> fields_of(std::string_view name = {}, std::string_view value = {}) {
    auto fields = std::make_unique<Fields>();
    if (!name.empty()) fields->push(name, value);
    return fields;
}

}  // namespace

TEST_CASE("a Content-Length is 0, or digits that begin with another", "[http][framing]") {
    const std::regex grammar("0|[1-9][0-9]{0,17}");
    const std::string_view alphabet = "0193+-, x_\t";
    for (std::size_t n = 0; n < alphabet.size() * alphabet.size() * alphabet.size() * alphabet.size(); ++n) {
        std::string text;
        for (std::size_t rest = n; rest > 0; rest /= alphabet.size()) text += alphabet[rest % alphabet.size()];
        if (parse_length(text).has_value() != std::regex_match(text, grammar)) FAIL(text);
    }
    CHECK(parse_length("0") == 0U);
    CHECK(parse_length("999999999999999999") == 999999999999999999U);
    CHECK_FALSE(parse_length("1000000000000000000"));
    CHECK_FALSE(parse_length("18446744073709551617"));
    CHECK_FALSE(parse_length(std::string_view("1\0", 2)));
}

TEST_CASE("the body of an answer follows from its status, the method and the fields", "[http][framing]") {
    struct Row {
        unsigned status;
        Method asked;
        std::string_view name, value;
        Body body;
    };
    const Row rows[] = {
        {200, Method::get, "", "", {Kind::until_close, 0}},
        {200, Method::get, "Content-Length", "7", {Kind::length, 7}},
        {200, Method::get, "Transfer-Encoding", "CHUNKED", {Kind::chunked, 0}},
        {200, Method::head, "Content-Length", "7", {}},
        {200, Method::head, "Transfer-Encoding", "chunked", {}},
        {200, Method::head, "", "", {}},
        {204, Method::get, "Content-Length", "7", {}},
        {304, Method::get, "Content-Length", "7", {}},
        {100, Method::post, "", "", {}},
        {103, Method::get, "Content-Length", "7", {}},
        {101, Method::get, "", "", {}},
        {205, Method::get, "", "", {Kind::until_close, 0}},
        {500, Method::post, "", "", {Kind::until_close, 0}},
    };
    for (const Row& row : rows) {
        const auto fields = fields_of(row.name, row.value);
        const Framing framing = response_framing(*fields, row.status, row.asked, Version::http11);
        CHECK(framing.error == errc::ok);
        CHECK(framing.body == row.body);
    }
}

TEST_CASE("HTTP/2 knows no coding, and no length is no end", "[http][framing]") {
    CHECK(request_framing(*fields_of(), Version::h2).body == Body{});
    CHECK(request_framing(*fields_of("content-length", "5"), Version::h2).body == Body{Kind::length, 5});
    CHECK(request_framing(*fields_of("transfer-encoding", "chunked"), Version::h2).error ==
          errc::bad_transfer_encoding);
    CHECK(response_framing(*fields_of(), 200, Method::get, Version::h2).body == Body{Kind::chunked, 0});
}

}  // namespace edgeproxy::http
