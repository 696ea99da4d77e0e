// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/http2_peer.hpp"

namespace edgeproxy::http::test {
namespace {

constexpr unsigned type_headers = 1, type_rst = 3;
constexpr unsigned end_stream = 1, end_headers = 4;

/// HPACK of ":method GET, :scheme https, :path /, :authority a" without Huffman (RFC 7541, appendix A).
const std::string plain_get = "\x82\x87\x84\x41\x01"s + "a";

std::vector<Field> fields(std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
    std::vector<Field> out;
    for (const auto& [name, value] : list) out.push_back({name, value, lookup(name)});
    return out;
}

}  // namespace

TEST_CASE("a request of HTTP/2 means what it means in HTTP/1.1", "[http][h2]") {
    Link link;
    const auto id = link.get(head("/a/b?c=d", {{"user-agent", "me"}, {"x-mine", ""}}));
    const Served& served = link.owner.at(id);
    REQUIRE(served.head);
    CHECK(served.error == errc::ok);
    CHECK(served.ended);
    const Request& request = *served.request;
    CHECK(request.version == Version::h2);
    CHECK(request.method == Method::get);
    CHECK(request.method_text == "GET");
    CHECK(request.target == "/a/b?c=d");
    CHECK(request.path == "/a/b");
    CHECK(request.query == "c=d");
    CHECK(request.authority == "a.example");
    CHECK(request.scheme == "https");
    CHECK(request.body == Body{});
    CHECK(describe(std::span<const Field>(request.fields)) == " [user-agent=me] [x-mine=]");
}

TEST_CASE("cookie crumbs become one field again, wherever they stand", "[http][h2]") {
    const auto [given, wanted] = GENERATE(table<Pairs, std::string>({
        {{{"cookie", "a=1"}, {"cookie", "b=2"}, {"cookie", "c=3"}}, " [cookie=a=1; b=2; c=3]"},
        {{{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}, " [cookie=a=1; b=2] [x=y]"},
        {{{"x", "y"}, {"cookie", "a=1"}, {"cookie", "b=2"}, {"z", "w"}, {"cookie", "c=3"}},
         " [x=y] [cookie=a=1; b=2; c=3] [z=w]"},
        {{{"cookie", "a=1"}, {"host", "a.example"}}, " [cookie=a=1] [host=a.example]"},
    }));
    Link link;
    const auto id = link.get(head("/", given));
    CHECK(describe(std::span<const Field>(link.owner.at(id).request->fields)) == wanted);
}

TEST_CASE("a head that outgrows its memory moves, and means the same", "[http][h2]") {
    Pairs many;
    for (int i = 0; i < 40; ++i)
        many.emplace_back("x-" + std::to_string(i), std::string(200, static_cast<char>('a' + i % 26)));
    many.emplace_back("cookie", "a=1");
    many.emplace_back("x-end", "z");
    many.emplace_back("cookie", "b=2");
    Link link;
    const auto id = link.get(head("/long", many));
    const Served& served = link.owner.at(id);
    CHECK(served.error == errc::ok);
    CHECK(served.memories.size() == 2);
    CHECK(served.request->path == "/long");
    CHECK(served.request->fields.value(FieldId::cookie) == "a=1; b=2");
    REQUIRE(served.request->fields.size() == 42);
    CHECK(served.request->fields[39].name == "x-39");
    CHECK(served.request->fields[39].value == many[39].second);
}

TEST_CASE("what HTTP/2 lets through and we do not is answered by its name", "[http][h2]") {
    const auto [given, error] = GENERATE(table<Pairs, errc>({
        {{{":method", "GET"}, {":scheme", "https"}, {":authority", "a@b"}, {":path", "/"}}, errc::bad_host},
        {head("/", {{"host", "b.example"}}), errc::duplicate_host},
        {head("/a#b"), errc::bad_target},
        {head("/%00"), errc::bad_target},
        {head("/", {}, "TRACE"), errc::forbidden_method},
        {head("/", {}, "get"), errc::bad_request_line},
        {{{":method", "CONNECT"}, {":authority", "a.example:443"}}, errc::forbidden_method},
        {{{":method", "GET"}, {":scheme", "ftp"}, {":authority", "a.example"}, {":path", "/"}}, errc::bad_target},
        {head("/", {{"expect", "a miracle"}}), errc::bad_expect},
        {head("/" + std::string(8300, 'a')), errc::line_too_long},
        {head("/", {{"x-large", std::string(16400, 'a')}}), errc::field_too_large},
        {head("/", {{std::string(300, 'a'), "a"}}), errc::field_too_large},
        {head("/", Pairs(101, {"x-many", "a"})), errc::too_many_fields},
        {head("/", Pairs(257, {"cookie", "a"})), errc::too_many_fields},
        {head("/", Pairs(4, {"x-much", std::string(9000, 'a')})), errc::head_too_large},
    }));
    Link link;
    link.owner.first_memory = 16 * 1024;
    const auto id = link.get(given);
    INFO(given[0].second << " " << given.back().first << ": " << given.back().second.substr(0, 40));
    REQUIRE(link.client.streams[id].reset <= 0);
    CHECK(link.owner.at(id).error == error);
    CHECK(link.client.goaways.empty());
}

TEST_CASE("what no request may hold costs its stream, and only that", "[http][h2]") {
    const auto given = GENERATE(values<Pairs>({
        head("/", {{"X-Upper", "a"}}),
        head("/", {{"connection", "close"}}),
        head("/", {{"keep-alive", "a"}}),
        head("/", {{"proxy-connection", "a"}}),
        head("/", {{"transfer-encoding", "chunked"}}),
        head("/", {{"upgrade", "websocket"}}),
        head("/", {{"te", "gzip"}}),
        head("/", {{"x-bad", "a\nb"}}),
        head("/", {{"x-bad", "a\x01z"}}),
        head("/", {{"x-bad", "a\x7f"}}),
        head("/", {{"x bad", "a"}}),
        head("/", {{"", "a"}}),
        head("/", {{":path", "/again"}}),
        head("/", {{":unknown", "a"}}),
        head("/", {{"x-a", "b"}, {":authority", "late"}}),
        head("/", {{"content-length", "1"}, {"content-length", "1"}}),
        head("/", {{"content-length", "1,1"}}),
        head("/", {{"host", "a.example"}, {"host", "a.example"}}),
        head("/", {{"content-length", "5"}}),  // and no body
        {{":method", "GET"}, {":scheme", "https"}, {":authority", ""}, {":path", "/"}},
        {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", ""}},
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}},
        {{":scheme", "https"}, {":authority", "a.example"}, {":path", "/"}},
    }));
    Link link;
    const auto id = link.get(given);
    INFO(given.back().first << ": " << given.back().second);
    CHECK(link.client.streams[id].reset == NGHTTP2_PROTOCOL_ERROR);
    CHECK(link.owner.at(id).closed);
    CHECK_FALSE(link.owner.at(id).head);
    CHECK(link.owner.bad.size() == 1);
    const auto next = link.get(head("/next"));
    CHECK(link.owner.at(next).error == errc::ok);
}

TEST_CASE("a head of four times the limit resets its stream without being kept", "[http][h2]") {
    Link link;
    SECTION("by bytes") {
        // One indexed field of 4000 bytes, again and again: each costs one byte on the wire.
        std::string block = plain_get + "\x40\x01x\x7f\xa1\x1e"s + std::string(4000, 'v');
        block += std::string(200, '\xbe');
        link.owner.session.feed(frame(type_headers, end_stream | end_headers, 1, block), link.now);
    }
    SECTION("by fields") {
        std::string block = plain_get + "\x40\x01x\x01v"s + std::string(2000, '\xbe');
        link.owner.session.feed(frame(type_headers, end_stream | end_headers, 1, block), link.now);
    }
    link.client.feed("");
    const std::string down = link.owner.output();
    CHECK(down.find(frame(type_rst, 0, 1, "\0\0\0\x0b"s)) != std::string::npos);
    CHECK(link.owner.at(1).closed);
    CHECK_FALSE(link.owner.at(1).head);
    CHECK(link.owner.at(1).memories.size() <= 2);
    CHECK(link.owner.session.wants_input());
}

TEST_CASE("bodies and trailers arrive, and their window comes back when they are used", "[http][h2]") {
    Link link;
    const std::string large(60000, 'x');
    const auto id = link.client.request(head("/", {{"te", "trailers"}}, "POST"), large.c_str(),
                                        {{"x-sum", "1"}, {"authorization", "me"}});
    link.exchange();
    Served& served = link.owner.at(id);
    CHECK(served.request->body.kind == Body::Kind::chunked);
    CHECK(served.request->te_trailers);
    CHECK(served.body == large);
    CHECK(served.ended);
    CHECK(describe(served.trailers->fields()) == " [x-sum=1]");

    const auto more = link.client.request(head("/", {}, "POST"), std::string(100000, 'y').c_str());
    link.exchange();
    Served& slow = link.owner.at(more);
    CHECK(slow.body.size() == 65536);
    CHECK_FALSE(slow.ended);
    link.owner.window = 200000;
    link.owner.session.consume(*slow.stream, 65536);
    link.exchange();
    CHECK(slow.body.size() == 100000);
    CHECK(slow.ended);
}

TEST_CASE("the window of a body that is used as it comes grows to a quarter of the connection's", "[http][h2]") {
    Link link;
    link.owner.window = 1024 * 1024;
    const auto id = link.client.request(head("/", {}, "POST"), std::string(2'000'000, 'y').c_str());
    std::vector<std::size_t> windows;
    for (std::size_t got = 0; got < 2'000'000;) {
        link.exchange();
        std::string& body = link.owner.at(id).body;
        REQUIRE_FALSE(body.empty());
        windows.push_back(body.size());
        got += body.size();
        link.owner.session.consume(*link.owner.at(id).stream, std::exchange(body, {}).size());
    }
    link.exchange();
    CHECK(link.owner.at(id).ended);
    windows.resize(5);
    CHECK(windows == std::vector<std::size_t>{65536, 131072, 262144, 262144, 262144});
}

TEST_CASE("a length that the body does not keep resets the stream", "[http][h2]") {
    const auto [length, body] = GENERATE(table<std::string, const char*>({{"5", "hell"}, {"5", "hello!"}, {"0", "x"}}));
    Link link;
    const auto id = link.client.request(head("/", {{"content-length", length}}, "POST"), body);
    link.exchange();
    CHECK(link.client.streams[id].reset == NGHTTP2_PROTOCOL_ERROR);
    CHECK_FALSE(link.owner.at(id).ended);
    CHECK(link.owner.at(id).closed);
}

TEST_CASE("an answer goes out as it was given", "[http][h2]") {
    Link link;
    const auto id = link.get(head());
    Served& served = link.owner.at(id);
    Got& got = link.client.streams[id];

    link.owner.session.interim(*served.stream, 103, fields({{"Link", "</a>"}}));
    link.exchange();
    REQUIRE(got.interim.size() == 1);
    CHECK(got.interim[0] == Pairs{{":status", "103"}, {"link", "</a>"}});

    const auto list = fields({{"X-Mixed", "Case"}, {"Connection", "close"}, {"Sec-WebSocket-Accept", "x"}});
    link.owner.respond(id, 200, list, {Body::Kind::length, 11}, "hello", false);
    CHECK_FALSE(served.stream->output_taken());
    link.exchange();
    CHECK(served.stream->output_taken());
    CHECK(got.head == Pairs{{":status", "200"}, {"x-mixed", "Case"}, {"content-length", "11"}});
    CHECK(got.body == "hello");
    CHECK_FALSE(got.ended);

    const auto trailers = fields({{"X-Sum", "1"}});
    link.owner.session.send(*served.stream, " world", true, trailers);
    link.exchange();
    CHECK(got.body == "hello world");
    CHECK(got.ended);
    CHECK(got.trailers == Pairs{{"x-sum", "1"}});
    CHECK(served.stream->output_ended());
    CHECK(served.closed);
}

TEST_CASE("a name comes in lower case, whatever its id says", "[http][h2]") {
    Link link;
    const auto id = link.get(head("/"));
    const std::vector<Field> given{{"Content-Type", "a/b", FieldId::content_type},
                                   {"X-Mine", "1", FieldId::other},
                                   {"X-Trace-Key", "t-1", FieldId::x_request_id}};  // what `request_id` may be called
    link.owner.respond(id, 200, given);
    link.exchange();
    CHECK(link.client.streams[id].head ==
          Pairs{{":status", "200"}, {"content-type", "a/b"}, {"x-mine", "1"}, {"x-trace-key", "t-1"}});
}

TEST_CASE("request ids do not fill the client's table, and need not spell out their name", "[http][h2]") {
    Link link;
    const auto answer_size = [&](unsigned number) {
        const auto id = link.get(head("/"));
        const std::string value = "018f2d1e-7b5a-7c3d-9e4f-" + std::to_string(100000000000 + number);
        const std::vector<Field> given{{"Server", "edge", FieldId::server},
                                       {"X-Request-ID", value, FieldId::x_request_id}};
        link.exchange();
        link.owner.respond(id, 200, given);
        const std::string answer = link.owner.output();
        link.client.feed(answer);
        CHECK(link.client.streams[id].head == Pairs{{":status", "200"}, {"server", "edge"}, {"x-request-id", value}});
        return answer.size();
    };
    const std::size_t first = answer_size(0);
    std::size_t longest = 0;
    for (unsigned number = 1; number < 64; ++number) longest = std::max(longest, answer_size(number));
    CHECK(first >= longest + 9);  // the name, Huffman-coded
    // One of 36 bytes and its name in 64, in a table of 4,096: never pushed out by the others.
    CHECK(nghttp2_session_get_hd_inflate_dynamic_table_size(link.client.raw()) < 400);
}

TEST_CASE("an answer without a body ends with its head", "[http][h2]") {
    Link link;
    const auto id = link.get(head("/", {}, "HEAD"));
    link.owner.respond(id, 204);
    link.exchange();
    CHECK(link.client.streams[id].head == Pairs{{":status", "204"}});
    CHECK(link.client.streams[id].ended);
}

TEST_CASE("the end of an answer may come alone, with or without trailers", "[http][h2]") {
    const bool with_trailers = GENERATE(false, true);
    Link link;
    const auto id = link.get(head());
    link.owner.respond(id, 200, {}, {Body::Kind::chunked, 0}, {}, false);
    link.exchange();
    CHECK_FALSE(link.client.streams[id].ended);
    const auto trailers = with_trailers ? fields({{"x-sum", "1"}}) : std::vector<Field>{};
    link.owner.session.send(*link.owner.at(id).stream, {}, true, trailers);
    link.exchange();
    CHECK(link.client.streams[id].ended);
    CHECK(link.client.streams[id].trailers.size() == trailers.size());
}

TEST_CASE("a large answer waits for the client's window and for room in the output", "[http][h2]") {
    Link link;
    const auto id = link.get(head());
    const std::string large(200000, 'x');
    link.owner.respond(id, 200, {}, {Body::Kind::length, large.size()}, large, true);
    const std::size_t room = GENERATE(std::size_t{16393}, std::size_t{20000}, std::size_t{65545});
    std::string space(room, '\0');
    const std::size_t written = link.owner.session.write(space);
    CHECK(written <= room);
    CHECK(link.owner.session.wants_room());
    link.client.feed({space.data(), written});
    link.exchange(room);
    CHECK(link.client.streams[id].body == large);
    CHECK(link.client.streams[id].ended);
    CHECK(link.owner.at(id).stream->output_left() == 0);
}

TEST_CASE("a stream that is given up is reset, never ended cleanly", "[http][h2]") {
    Link link;
    const auto id = link.get(head());
    Served& served = link.owner.at(id);
    link.owner.respond(id, 200, {}, {Body::Kind::chunked, 0}, "half", false);
    link.exchange();
    SECTION("by a reset") {
        link.owner.session.reset(*served.stream, Http2Code::internal_error);
    }
    SECTION("by being forgotten") {
        link.owner.session.forget(*served.stream);
    }
    link.exchange();
    CHECK(link.client.streams[id].body == "half");
    CHECK_FALSE(link.client.streams[id].ended);
    CHECK(link.client.streams[id].reset == NGHTTP2_INTERNAL_ERROR);
}

TEST_CASE("an answer before the end of the request ends it without an error", "[http][h2]") {
    Link link;
    const auto id = link.client.request(head("/", {}, "POST"), std::string(100000, 'x').c_str());
    link.exchange();
    link.owner.respond(id, 413);
    link.exchange();
    link.owner.session.forget(*link.owner.at(id).stream);
    link.exchange();
    CHECK(link.client.streams[id].head == Pairs{{":status", "413"}});
    CHECK(link.client.streams[id].ended);
    CHECK(link.client.streams[id].reset == NGHTTP2_NO_ERROR);
}

TEST_CASE("the client's reset is told", "[http][h2]") {
    Link link;
    const auto id = link.get(head());
    nghttp2_submit_rst_stream(link.client.raw(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    link.exchange();
    CHECK(link.owner.at(id).closed);
    CHECK_FALSE(link.owner.at(id).stream->output_ended());
}

TEST_CASE("streams above the announced number are refused one by one", "[http][h2]") {
    Http2Options options;
    options.max_streams = 3;
    Link link{options};
    CHECK(link.client.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS] == 3);
    CHECK(link.client.settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL] == 1);
    CHECK(link.client.settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE] == 65536);
    link.owner.refuses = true;
    const std::string refused = frame(type_headers, end_stream | end_headers, 1, plain_get);
    link.owner.session.feed(refused, link.now);
    CHECK(link.owner.output().find(frame(type_rst, 0, 1, "\0\0\0\x07"s)) != std::string::npos);
    CHECK(link.owner.session.wants_input());
}

TEST_CASE("a WebSocket over HTTP/2 looks like one of HTTP/1.1", "[http][h2]") {
    Link link;
    const Pairs asked{{":method", "CONNECT"},         {":protocol", "websocket"},
                      {":scheme", "https"},           {":path", "/chat"},
                      {":authority", "a.example"},    {"sec-websocket-key", "of the client"},
                      {"sec-websocket-protocol", "x"}};
    const auto id = link.client.request(asked, "frames");
    link.exchange();
    Served& served = link.owner.at(id);
    REQUIRE(served.error == errc::ok);
    CHECK(served.request->websocket);
    CHECK(served.request->method_text == "GET");
    CHECK(served.request->body == Body{});
    CHECK(served.body == "frames");
    served.stream->head.give_websocket_key("0123456789abcdef01234A==");
    CHECK(served.request->websocket_key == "0123456789abcdef01234A==");
    CHECK(describe(std::span<const Field>(served.request->fields)) ==
          " [sec-websocket-protocol=x] [sec-websocket-version=13] [sec-websocket-key=0123456789abcdef01234A==]");
}

TEST_CASE("what is no WebSocket over HTTP/2 is refused", "[http][h2]") {
    const auto [protocol, more, error] = GENERATE(table<std::string, Pairs, errc>({
        {"connect-udp", {}, errc::unknown_protocol},
        {"websocket", {{"sec-websocket-version", "12"}}, errc::bad_field},
        {"websocket", {{"sec-websocket-version", "13"}, {"sec-websocket-version", "13"}}, errc::bad_field},
        {"websocket", {{"x-a", "\x85"}}, errc::bad_upgrade_bytes},
    }));
    Pairs asked{{":method", "CONNECT"},
                {":protocol", protocol},
                {":scheme", "https"},
                {":path", "/"},
                {":authority", "a.example"}};
    asked.insert(asked.end(), more.begin(), more.end());
    Link link;
    const auto id = link.client.request(asked, "");
    link.exchange();
    CHECK(link.owner.at(id).error == error);
}

TEST_CASE("a connection ends in two steps, and what was on its way is served", "[http][h2]") {
    Link link;
    const auto id = link.get(head("/first"));
    link.owner.session.announce_end();
    const std::string notice = link.owner.output();
    const auto crossing = link.client.request(head("/crossing"));  // sent before the notice arrives
    link.owner.session.feed(link.client.output(), link.now);
    link.client.feed(notice);
    REQUIRE(link.client.goaways.size() == 1);
    CHECK(link.client.goaways[0] == std::pair{0x7fffffff, 0U});
    link.exchange();  // the answer to our PING
    REQUIRE(link.client.goaways.size() == 2);
    CHECK(link.client.goaways[1] == std::pair{crossing, 0U});
    CHECK(link.owner.session.wants_input());
    link.owner.respond(id, 200);
    link.owner.respond(crossing, 200);
    link.exchange();
    CHECK(link.client.streams[crossing].ended);
    CHECK_FALSE(link.owner.session.wants_input());
}

TEST_CASE("bytes that are no HTTP/2 end the connection with its reason", "[http][h2]") {
    Owner owner;
    owner.session.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Http2Session::TimePoint{});
    CHECK_FALSE(owner.session.wants_input());
    CHECK(owner.output().find("\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01"s) != std::string::npos);
}

TEST_CASE("a request means the same however it is cut", "[http][h2]") {
    Client client;
    client.request(head("/cut?x", {{"cookie", "a"}, {"cookie", "b"}, {"x-a", "b"}}, "POST"), "body of it",
                   {{"x-t", "u"}});
    const std::string bytes = client.output();
    Owner owner;
    for (const char& c : bytes) owner.session.feed({&c, 1}, Http2Session::TimePoint{});
    const Served& served = owner.at(1);
    CHECK(served.error == errc::ok);
    CHECK(served.request->target == "/cut?x");
    CHECK(served.body == "body of it");
    CHECK(served.ended);
    CHECK(describe(std::span<const Field>(served.request->fields)) == " [cookie=a; b] [x-a=b]");
    CHECK(describe(served.trailers->fields()) == " [x-t=u]");
}

}  // namespace edgeproxy::http::test
