// SPDX-License-Identifier: Apache-2.0
#include "proxy/rewrite.hpp"

#include <array>

#include "tests/proxy/requests.hpp"
#include "tls/client_identity.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

namespace {

config::Cidr loopback() {
    return *config::parse_cidr("127.0.0.0/8");
}

/// What the endpoint gets for a request from 127.0.0.1, over TLS, on port 8443.
std::string rewritten(const ParsedRequest& parsed, const RewriteRules& rules, bool trusted = false, bool asks = false,
                      const tls::ClientIdentity* certificate = nullptr) {
    config::ClientIp client_ip;
    if (trusted) client_ip.trusted_proxies.push_back(loopback());
    Arrival arrival;
    arrival.peer.is_ip = true;
    arrival.peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    arrival.tls = true;
    arrival.local_port = "8443";
    arrival.asks_certificate = asks;
    arrival.certificate = certificate;
    Identity identity;
    identify(parsed, arrival, client_ip, "X-Request-ID", identity);
    std::array<char, 16384> space;
    std::array<char, 8192> scratch;
    http::HeadWriter out{space};
    const UpstreamBody body{parsed.request->body, parsed.request->expect_continue};
    write_request_head(out, parsed, rules, identity, identity.request_id.empty() ? "id-1" : identity.request_id,
                       "10.0.0.1:80", body, scratch);
    REQUIRE_FALSE(out.overflowed());
    return std::string(out.text());
}

std::string rewritten(const std::string& head, const RewriteRules& rules, bool trusted = false, bool asks = false,
                      const tls::ClientIdentity* certificate = nullptr) {
    return rewritten(ParsedRequest{head}, rules, trusted, asks, certificate);
}

RewriteRules usual() {
    RewriteRules rules;
    rules.request_id = "X-Request-ID";
    rules.via = "edgeproxy";
    return rules;
}

bool has_line(const std::string& head, const std::string& line) {
    return head.find("\r\n" + line + "\r\n") != std::string::npos;
}
bool has_name(const std::string& head, const std::string& name) {
    return head.find("\r\n" + name + ":") != std::string::npos;
}

}  // namespace

TEST_CASE("a plain request gets our fields and keeps its own", "[proxy][rewrite]") {
    const std::string head =
        rewritten(get("/p?q=1", "a.example", "Accept: */*\r\nCookie: a=b\r\nX-Mine: yes\r\n"), usual());
    CHECK(head.starts_with("GET /p?q=1 HTTP/1.1\r\nHost: a.example\r\n"));
    CHECK(has_line(head, "Accept: */*"));
    CHECK(has_line(head, "Cookie: a=b"));
    CHECK(has_line(head, "X-Mine: yes"));
    CHECK(has_line(head, "X-Forwarded-For: 127.0.0.1"));
    CHECK(has_line(head, "X-Forwarded-Proto: https"));
    CHECK(has_line(head, "X-Forwarded-Host: a.example"));
    CHECK(has_line(head, "X-Forwarded-Port: 8443"));
    CHECK(has_line(head, "X-Request-ID: id-1"));
    CHECK(has_line(head, "Via: 1.1 edgeproxy"));
    CHECK(head.ends_with("\r\n\r\n"));
}

TEST_CASE("Via tells the version in which the request came, and who came before us", "[proxy][rewrite]") {
    const std::string old = rewritten("GET / HTTP/1.0\r\nHost: a.example\r\nVia: 1.0 fred\r\n\r\n", usual());
    CHECK(old.find("\r\nVia: 1.0 fred\r\n") < old.find("\r\nVia: 1.0 edgeproxy\r\n"));
    CHECK(has_line(old, "Via: 1.0 edgeproxy"));
    const ParsedRequest h2{get("/")};
    h2.request->version = http::Version::h2;
    CHECK(has_line(rewritten(h2, usual()), "Via: 2.0 edgeproxy"));
    RewriteRules off = usual();
    off.via.clear();
    CHECK_FALSE(has_name(rewritten(get("/"), off), "Via"));
}

TEST_CASE("what a client must not say never arrives", "[proxy][rewrite]") {
    const auto field =
        GENERATE(std::string("X-Forwarded-For: 6.6.6.6"), "X-FORWARDED-PROTO: gopher", "X-Forwarded-Host: evil",
                 "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X-Request-ID: mine",
                 "True-Client-IP: 6.6.6.6", "Proxy: evil", "Script-Name: /x", "Daphne-Root-Path: /x",
                 "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Accel-Redirect: /x", "HTTP2-Settings: AAA",
                 "Keep-Alive: 5", "Proxy-Connection: keep-alive", "Proxy-Authorization: x", "TE: gzip", "Upgrade: h2c",
                 "X_Odd: 1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    const std::string head = rewritten(get("/", "a.example", field + "\r\n"), usual());
    const std::string value = field.substr(field.find(' ') + 1);
    CAPTURE(field, head);
    CHECK(head.find(value == "5" || value == "1" || value == "x" ? field : value) == std::string::npos);
}

TEST_CASE("fields that Connection names go, but not the protected ones", "[proxy][rewrite]") {
    const std::string head = rewritten(
        get("/", "a.example",
            "Connection: X-Gone, X-Forwarded-For, Authorization, Host\r\nX-Gone: 1\r\nAuthorization: Basic x\r\n"),
        usual());
    CHECK_FALSE(has_name(head, "X-Gone"));
    CHECK_FALSE(has_name(head, "Connection"));
    CHECK(has_line(head, "Authorization: Basic x"));
    CHECK(has_line(head, "X-Forwarded-For: 127.0.0.1"));
    CHECK(head.find("Host: a.example") != std::string::npos);
}

TEST_CASE("a trusted peer is believed, from right to left, and the worker sees one address", "[proxy][rewrite]") {
    const std::string head = rewritten(get("/", "in.example",
                                           "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-For: "
                                           "127.0.0.2\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: out.example\r\n"
                                           "X-Request-ID: theirs\r\n"),
                                       usual(), true);
    CHECK(has_line(head, "X-Forwarded-For: 203.0.113.9"));
    CHECK(has_line(head, "X-Forwarded-Proto: http"));
    CHECK(has_line(head, "X-Forwarded-Host: out.example"));
    CHECK(has_line(head, "X-Request-ID: theirs"));
    CHECK(head.find("6.6.6.6") == std::string::npos);
    CHECK(head.find("X-Forwarded-For", head.find("X-Forwarded-For") + 1) == std::string::npos);
}

TEST_CASE("framing is written anew", "[proxy][rewrite]") {
    CHECK(has_line(rewritten("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", usual()), "Content-Length: 5"));
    const std::string chunked = rewritten(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\nTrailer: X\r\n\r\n", usual());
    CHECK(has_line(chunked, "Transfer-Encoding: chunked"));
    CHECK(has_line(chunked, "TE: trailers"));
    CHECK_FALSE(has_name(chunked, "Trailer"));
}

TEST_CASE("a prefix is changed on the normal form, by segment", "[proxy][rewrite]") {
    RewriteRules rules = usual();
    rules.strip_prefix = "/v1";
    CHECK(rewritten(get("/v1/a?x"), rules).starts_with("GET /a?x HTTP/1.1\r\n"));
    CHECK(rewritten(get("/v1"), rules).starts_with("GET / HTTP/1.1\r\n"));
    CHECK(rewritten(get("/v1x/a"), rules).starts_with("GET /v1x/a HTTP/1.1\r\n"));
    CHECK(rewritten(get("/x/../v1/a"), rules).starts_with("GET /a HTTP/1.1\r\n"));
    CHECK(has_line(rewritten(get("/v1/a"), rules), "X-Forwarded-Prefix: /v1"));
    rules.strip_prefix.clear();
    rules.add_prefix = "/app";
    CHECK(rewritten(get("/a"), rules).starts_with("GET /app/a HTTP/1.1\r\n"));
}

TEST_CASE("the prefix of a trusted peer and ours are one path, and nobody else's is believed", "[proxy][rewrite]") {
    RewriteRules rules = usual();
    rules.strip_prefix = "/v1";
    const auto [said, trusted, expected] = GENERATE(table<std::string, bool, std::string>({
        {"X-Forwarded-Prefix: /outer\r\n", true, "/outer/v1"},
        {"X-Forwarded-Prefix: /outer/\r\n", true, "/outer/v1"},
        {"X-Forwarded-Prefix: /\r\n", true, "/v1"},
        {"X-Forwarded-Prefix: /outer\r\n", false, "/v1"},
        {"", true, "/v1"},
    }));
    CAPTURE(said, trusted);
    const std::string head = rewritten(get("/v1/a", "a.example", said), rules, trusted);
    CHECK(has_line(head, "X-Forwarded-Prefix: " + expected));
    CHECK(head.find("X-Forwarded-Prefix") == head.rfind("X-Forwarded-Prefix"));
    rules.strip_prefix.clear();
    CHECK(has_name(rewritten(get("/v1/a", "a.example", said), rules, trusted), "X-Forwarded-Prefix") ==
          (trusted && !said.empty()));
}

TEST_CASE("a WebSocket handshake is passed on as one", "[proxy][rewrite]") {
    const std::string head =
        rewritten(get("/ws", "a.example",
                      "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
                  usual());
    CHECK(has_line(head, "Connection: upgrade"));
    CHECK(has_line(head, "Upgrade: websocket"));
    CHECK(has_line(head, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
}

TEST_CASE("an answer loses what concerns only us, and gains what every answer has", "[proxy][rewrite]") {
    const ParsedResponse response{
        "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Accel-Redirect: "
        "/secret\r\nKeep-Alive: 5\r\n"
        "Content-Length: 3\r\nX-App: 1\r\n\r\n"};
    const RewriteRules rules = usual();
    const auto out = std::make_unique<ResponseHead>();
    REQUIRE(filter_response(response, rules, {"Thu, 01 Jan 1970 00:00:00 GMT", "id-1", "max-age=86400"}, *out));
    CHECK(out->status == 200);
    CHECK(out->body == http::Body{http::Body::Kind::length, 3});
    CHECK(out->fields.find("Server") == nullptr);
    CHECK(out->fields.find("X-Hop") == nullptr);
    CHECK(out->fields.find("X-Accel-Redirect") == nullptr);
    CHECK(out->fields.find("Keep-Alive") == nullptr);
    CHECK(out->fields.find("Content-Length") == nullptr);
    CHECK(out->fields.find("X-App") != nullptr);
    CHECK(out->fields.find("Date") != nullptr);
    CHECK(out->fields.find("X-Request-ID")->value == "id-1");
    CHECK(out->fields.find("Strict-Transport-Security")->value == "max-age=86400");
}

TEST_CASE("an answer without a body may tell the length that it would have", "[proxy][rewrite]") {
    const ParsedResponse response{"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", http::Method::head};
    const RewriteRules rules = usual();
    const auto out = std::make_unique<ResponseHead>();
    REQUIRE(filter_response(response, rules, {"", "", ""}, *out));
    CHECK(out->body.kind == http::Body::Kind::none);
    CHECK(out->fields.find("Content-Length")->value == "300");
    CHECK(out->fields.find("Strict-Transport-Security") == nullptr);
}

TEST_CASE("426 tells that WebSocket is wanted, and no protocol that we do not change to", "[proxy][rewrite]") {
    const auto [answer, told] = GENERATE(table<std::string, bool>({
        {"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", true},
        {"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0, WebSocket\r\n", true},
        {"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: HTTP/3.0\r\n", false},
        {"HTTP/1.1 426 Upgrade Required\r\n", false},
        {"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", false},
    }));
    CAPTURE(answer);
    const ParsedResponse response{answer + "Content-Length: 0\r\n\r\n"};
    const auto out = std::make_unique<ResponseHead>();
    REQUIRE(filter_response(response, usual(), {"", "", ""}, *out));
    CHECK((out->fields.value(http::FieldId::upgrade) == "websocket") == told);
    CHECK((out->fields.value(http::FieldId::connection) == "upgrade") == told);
    CHECK(out->fields.has(http::FieldId::upgrade) == told);
}

TEST_CASE("204 tells no length, whatever its endpoint says", "[proxy][rewrite]") {
    const ParsedResponse response{"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-App: 1\r\n\r\n"};
    const RewriteRules rules = usual();
    const auto out = std::make_unique<ResponseHead>();
    REQUIRE(filter_response(response, rules, {"", "", ""}, *out));
    CHECK(out->fields.find("Content-Length") == nullptr);
    CHECK(out->fields.find("X-App") != nullptr);
}

TEST_CASE("the identity of a client certificate is told by us alone", "[proxy][rewrite]") {
    const std::string claim =
        "X-Client-Cert-Verify: SUCCESS\r\nX-Client-Cert-Subject: CN=admin\r\nClient-Cert: :AAAA:\r\n"
        "X_Client_Cert_Subject: CN=admin\r\nClient-Cert-Chain: :AAAA:\r\nx-client-cert: pem\r\n";
    const bool trusted = GENERATE(false, true);
    RewriteRules rules = usual();
    rules.pass_underscores = true;
    SECTION("where none is asked for, nobody says anything") {
        const std::string head = rewritten(get("/", "a.example", claim), rules, trusted);
        CHECK(head.find("Cert") == std::string::npos);
        CHECK(head.find("cert") == std::string::npos);
    }
    SECTION("asked for and not shown") {
        const std::string head = rewritten(get("/", "a.example", claim), rules, trusted, true);
        CHECK(has_line(head, "X-Client-Cert-Verify: NONE"));
        CHECK(head.find("admin") == std::string::npos);
        CHECK_FALSE(has_name(head, "X-Client-Cert-Subject"));
        CHECK_FALSE(has_name(head, "Client-Cert"));
    }
    SECTION("shown") {
        tls::ClientIdentity who;
        who.subject = "CN=device 7,O=Example";
        who.issuer = "CN=ca";
        who.serial = "04D2";
        who.fingerprint = "ab12";
        const std::string head = rewritten(get("/", "a.example", claim), rules, trusted, true, &who);
        CHECK(has_line(head, "X-Client-Cert-Verify: SUCCESS"));
        CHECK(has_line(head, "X-Client-Cert-Subject: CN=device 7,O=Example"));
        CHECK(has_line(head, "X-Client-Cert-Issuer: CN=ca"));
        CHECK(has_line(head, "X-Client-Cert-Serial: 04D2"));
        CHECK(has_line(head, "X-Client-Cert-Fingerprint: ab12"));
        CHECK_FALSE(has_name(head, "X-Client-Cert-Names"));
        CHECK(head.find("admin") == std::string::npos);
    }
}
