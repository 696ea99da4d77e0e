// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_answer.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "proxy/http/http2_client_session.hpp"
#include "proxy/http/http2_field_list.hpp"

using namespace edgeproxy::http;

namespace {

using List = std::vector<std::pair<std::string, std::string>>;

/// The error of a head of these fields, and the head in `out`.
errc judge(const List& fields, Response& out, bool ended = false, Method method = Method::get) {
    static std::vector<char> memory(200'000);
    Http2Answer answer;
    answer.begin(memory);
    for (const auto& [name, value] : fields) {
        if (answer.add(name, value) != Http2Answer::Taken::ok) return answer.error();
    }
    if (!answer.end_head(ended)) return answer.error();
    return answer.read(method, out);
}

List with(const List& more) {
    List all{{":status", "200"}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

std::string text_of(const nghttp2_nv& field) {
    return std::string(reinterpret_cast<const char*>(field.name), field.namelen) + "=" +
           std::string(reinterpret_cast<const char*>(field.value), field.valuelen);
}

}  // namespace

TEST_CASE("an answer's head on HTTP/2 is judged like one of HTTP/1.1", "[http][http2]") {
    const auto [fields, expected] = GENERATE(table<List, errc>({
        {with({{"a", "b"}}), errc::ok},
        {List{}, errc::bad_status_line},
        {List{{"a", "b"}}, errc::bad_field},
        {List{{":status", "20"}}, errc::bad_status_line},
        {List{{":status", "2000"}}, errc::bad_status_line},
        {List{{":status", "0200"}}, errc::bad_status_line},
        {List{{":status", "099"}}, errc::bad_status_line},
        {List{{":status", "101"}}, errc::bad_switch},
        {with({{":status", "200"}}), errc::bad_field},
        {with({{":path", "/"}}), errc::bad_field},
        {with({{"a", "b"}, {":status", "200"}}), errc::bad_field},
        {with({{"Caps", "b"}}), errc::bad_field},
        {with({{"", "b"}}), errc::bad_field},
        {with({{"a", " b"}}), errc::bad_field},
        {with({{"a", std::string("b\0c", 3)}}), errc::bad_field},
        {with({{"a", "b\r\nc: d"}}), errc::bad_field},
        {with({{"connection", "close"}}), errc::bad_field},
        {with({{"transfer-encoding", "chunked"}}), errc::bad_field},
        {with({{"content-length", "1"}, {"content-length", "1"}}), errc::duplicate_length},
        {with({{"content-length", "01"}}), errc::bad_length},
        {with({{std::string(257, 'a'), "b"}}), errc::field_too_large},
        {with({{"a", std::string(70'000, 'b')}}), errc::field_too_large},
        {with({{"a", std::string(40'000, 'b')}, {"c", std::string(40'000, 'b')}}), errc::head_too_large},
        {with(List(201, {"a", "b"})), errc::too_many_fields},
    }));
    CAPTURE(fields);
    Response response;
    CHECK(judge(fields, response) == expected);
}

TEST_CASE("how the body of an answer ends is known from its head", "[http][http2]") {
    Response response;
    REQUIRE(judge(with({}), response) == errc::ok);
    CHECK(response.body.kind == Body::Kind::chunked);
    REQUIRE(judge(with({{"content-length", "7"}}), response) == errc::ok);
    CHECK(response.body == Body{Body::Kind::length, 7});
    REQUIRE(judge(with({{"content-length", "7"}}), response, true, Method::head) == errc::ok);
    CHECK(response.body.kind == Body::Kind::none);
    CHECK(judge(with({{"content-length", "7"}}), response, true) == errc::bad_length);
    CHECK(judge({{":status", "103"}}, response, true) == errc::bad_status_line);
}

TEST_CASE("heads wait in order, and the views of one outlive a move", "[http][http2]") {
    std::vector<char> small(64), large(4096);
    Http2Answer answer;
    answer.begin(small);
    REQUIRE(answer.add(":status", "103") == Http2Answer::Taken::ok);
    REQUIRE(answer.add("link", "</a>") == Http2Answer::Taken::ok);
    REQUIRE(answer.end_head(false));
    CHECK_FALSE(answer.final_seen());
    Response early;
    REQUIRE(answer.read(Method::get, early) == errc::ok);
    REQUIRE(answer.add(":status", "200") == Http2Answer::Taken::ok);
    REQUIRE(answer.add("x", std::string(100, 'y')) == Http2Answer::Taken::full);
    answer.move_to(large);
    REQUIRE(answer.add("x", std::string(100, 'y')) == Http2Answer::Taken::ok);
    REQUIRE(answer.end_head(true));
    CHECK(answer.final_seen());
    CHECK(early.status == 103);
    CHECK(early.fields.find("link")->value == "</a>");
    Response last;
    REQUIRE(answer.read(Method::get, last) == errc::ok);
    CHECK(last.status == 200);
    CHECK(last.fields.find("x")->value == std::string(100, 'y'));
    CHECK(answer.waiting() == 0);
}

TEST_CASE("interim heads that nobody reads are bounded", "[http][http2]") {
    std::vector<char> memory(4096);
    Http2Answer answer;
    answer.begin(memory);
    for (std::size_t i = 0; i < Http2Answer::most_interim; ++i) {
        REQUIRE(answer.add(":status", "103") == Http2Answer::Taken::ok);
        REQUIRE(answer.end_head(false));
    }
    REQUIRE(answer.add(":status", "103") == Http2Answer::Taken::ok);
    CHECK_FALSE(answer.end_head(false));
}

TEST_CASE("a head written for HTTP/1.1 becomes the fields of HTTP/2", "[http][http2]") {
    Http2FieldList list;
    REQUIRE(
        http2_request_fields("POST /a?b HTTP/1.1\r\nHost: h.test:8\r\nX-Mine: c: d\r\nConnection: te\r\n"
                             "TE: trailers\r\nTransfer-Encoding: chunked\r\nEmpty: \r\n\r\n",
                             "https", list));
    std::string all;
    for (std::size_t i = 0; i < list.size(); ++i) all += text_of(list.data()[i]) + ";";
    CHECK(all == ":method=POST;:scheme=https;:authority=h.test:8;:path=/a?b;X-Mine=c: d;te=trailers;Empty=;");
    Http2FieldList none;
    CHECK_FALSE(http2_request_fields("GET\r\n\r\n", "http", none));
}
