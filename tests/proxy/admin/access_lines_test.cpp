// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/access_lines.hpp"

#include <boost/json.hpp>
#include <boost/json/src.hpp>
#include <catch2/catch.hpp>
#include <string>

#include "tests/proxy/admin/samples.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

std::string json(const ExchangeRecord& record) {
    AccessLines format;
    std::string out;
    format.append_json(out, record);
    return out;
}

std::string combined(const ExchangeRecord& record) {
    AccessLines format;
    std::string out;
    format.append_combined(out, record);
    return out;
}

std::string console(const ExchangeRecord& record, bool colour = false) {
    AccessLines format;
    std::string out;
    format.append_console(out, record, colour, false);
    return out;
}

/// nginx's $time_local of the sample.
std::string local_time() {
    TimeText text;
    std::string out;
    text.append_nginx(out, test::sample_record().start);
    return out;
}

}  // namespace

TEST_CASE("the JSON line is flat, in fixed order, and says it all", "[admin][access]") {
    auto record = test::sample_record();
    record.query = "a=1&token=geheim";
    record.has_query = true;
    record.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    record.referer = "https://example.com/";
    record.error = "connection_refused";
    record.websocket = true;
    CHECK(json(record) ==
          R"({"ts":"2026-11-22T18:31:02.005Z","request_id":"0123456789abcdef",)"
          R"("trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","client_ip":"203.0.113.9","peer":"203.0.113.9:5123",)"
          R"("listener":"https","route":"api","protocol":"h2","tls":"TLSv1.3","tls_resumed":false,"method":"GET",)"
          R"("scheme":"https","host":"example.com","path":"/items/7","query":"a=1&token=***","status":200,)"
          R"("error":"connection_refused","bytes_in":0,"bytes_out":512,"duration_ms":12.400,"queue_ms":0.100,)"
          R"("connect_ms":0.050,"upstream_ms":12.100,"overhead_ms":0.100,"pool":"web","endpoint":"web-2","attempts":1,)"
          R"("upstream_status":200,"referer":"https://example.com/","user_agent":"curl/8.5.0","websocket":true})"
          "\n");
}

TEST_CASE("every JSON line has the same keys, but for what only some requests have; a client that left has no status",
          "[admin][access]") {
    const auto line = boost::json::parse(json(ExchangeRecord{})).as_object();
    CHECK(line.at("status").is_null());
    CHECK(line.at("attempts") == 0);
    for (const auto* absent : {"trace_id", "tls", "tls_resumed", "error", "websocket"}) {
        CHECK_FALSE(line.contains(absent));
    }
    for (const auto* empty : {"request_id", "query", "pool", "endpoint", "referer", "user_agent"})
        CHECK(line.at(empty) == "");
}

TEST_CASE("every line is one line and every JSON line parses, whatever a client sends", "[admin][access]") {
    std::string all;
    for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
    for (const std::string_view text : {std::string_view(all), std::string_view("\xe2\x80\xae\xc2\x85\xf4\x90")}) {
        auto record = test::sample_record();
        record.method_text = record.host = record.path = record.query = record.request_id = text;
        record.referer = record.user_agent = record.client_ip = record.peer = record.trace_id = text;
        record.has_query = true;
        const std::string line = json(record);
        CHECK_NOTHROW(boost::json::parse(line));
        for (const std::string& each : {line, combined(record), console(record)}) {
            CHECK(each.find('\n') == each.size() - 1);
            CHECK(std::count_if(each.begin(), each.end(), [](char c) { return c >= 0 && c < 0x20; }) == 1);
        }
    }
}

TEST_CASE("a value comes back from JSON as it was sent", "[admin][access]") {
    auto record = test::sample_record();
    record.user_agent = "a\"b\\c\r\ngrün\t";
    const auto line = boost::json::parse(json(record)).as_object();
    CHECK(line.at("user_agent") == "a\"b\\c\r\ngrün\t");
}

TEST_CASE("the combined line is nginx's", "[admin][access]") {
    auto record = test::sample_record();
    CHECK(combined(record) ==
          "203.0.113.9 - - [" + local_time() + "] \"GET /items/7 HTTP/2.0\" 200 512 \"-\" \"curl/8.5.0\"\n");
    record.protocol = http::Version::http11;
    record.query = "q=\"x\"&secret=s";
    record.has_query = true;
    record.referer = "https://a.test/?code=1";
    record.user_agent = "x\"\xc3\xbc";
    record.status = 0;
    CHECK(combined(record) == "203.0.113.9 - - [" + local_time() +
                                  "] \"GET /items/7?q=\\x22x\\x22&secret=*** HTTP/1.1\" 499 512 "
                                  "\"https://a.test/?code=***\" \"x\\x22\\xC3\\xBC\"\n");
    record.query = "";
    CHECK(combined(record).find("/items/7? HTTP/1.1") != std::string::npos);
    ExchangeRecord malformed;
    malformed.client_ip = "::1";
    malformed.status = 400;
    CHECK(combined(malformed).find("] \"-\" 400 0 \"-\" \"-\"\n") != std::string::npos);
}

TEST_CASE("the console line is read by people", "[admin][access]") {
    auto record = test::sample_record();
    CHECK(console(record) == "GET  /items/7         200  12.4ms (app 12.1)  web-2  h2  203.0.113.9\n");
    CHECK(console(record, true).find("\x1b[32m200\x1b[0m") != std::string::npos);
    record.status = 503;
    record.error = "queue_full";
    record.endpoint = "";
    record.upstream = 0ms;
    CHECK(console(record) == "GET  /items/7         503  12.4ms  web  h2  203.0.113.9  queue_full\n");
    CHECK(console(record, true).find("\x1b[31m503\x1b[0m") != std::string::npos);
}

TEST_CASE("paths are left out by segment", "[admin][access]") {
    const auto [path, excluded] = GENERATE(table<std::string, bool>({{"/healthz", true},
                                                                     {"/healthz/live", true},
                                                                     {"/healthzz", false},
                                                                     {"/health", false},
                                                                     {"/static", true},
                                                                     {"/static/", true},
                                                                     {"/static/a.css", true},
                                                                     {"/only", true},
                                                                     {"/only/this", false},
                                                                     {"/", false}}));
    CAPTURE(path);
    CHECK(is_excluded(path, {"/healthz", "/static/", "=/only"}) == excluded);
    CHECK_FALSE(is_excluded(path, {}));
    CHECK(is_excluded(path, {"/"}));
}
