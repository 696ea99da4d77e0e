// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/authority.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace edgeproxy::http {
namespace {

std::string parse(std::string_view text) {
    const auto authority = parse_authority(text);
    if (!authority) return "refused";
    std::string out(authority->host);
    if (authority->ipv6) out += " v6";
    if (authority->port) out += " " + std::to_string(*authority->port);
    return out;
}

}  // namespace

TEST_CASE("a host is a name or an address, and perhaps a port", "[http][authority]") {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {"a", "a"},
        {"Example.TEST:443", "Example.TEST 443"},
        {"a-b_c.test.", "a-b_c.test."},
        {"127.0.0.1:65535", "127.0.0.1 65535"},
        {"[::1]", "::1 v6"},
        {"[::1]:1", "::1 v6 1"},
        {"[::]", ":: v6"},
        {"[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8 v6"},
        {"[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7:: v6"},
        {"[2001:db8::FFFF:192.0.2.1]:8080", "2001:db8::FFFF:192.0.2.1 v6 8080"},
    };
    for (const auto& [text, meaning] : rows) CHECK(parse(text) == meaning);
    CHECK(parse(std::string(255, 'a')) != "refused");
}

TEST_CASE("what is not strictly a host is refused", "[http][authority]") {
    for (std::string_view text : {"",
                                  ":",
                                  ":80",
                                  "a:",
                                  "a:b",
                                  "a:0",
                                  "a:080",
                                  "a:65536",
                                  "a:123456",
                                  "a:+1",
                                  "a:1:2",
                                  "a b",
                                  " a",
                                  "a ",
                                  "a,b",
                                  "a/b",
                                  "a\\b",
                                  "u@a",
                                  "u:p@a",
                                  "a?b",
                                  "a#b",
                                  "a%41",
                                  "a..b",
                                  ".a",
                                  ".",
                                  "a\tb",
                                  "\xc3\xa9",
                                  "a\x7f",
                                  "*",
                                  "[",
                                  "[]",
                                  "[::1",
                                  "::1",
                                  "[::1]x",
                                  "[::1]:",
                                  "[::1]:x",
                                  "[::1%eth0]",
                                  "[1:2]",
                                  "[:::1]",
                                  "[1::2::3]",
                                  "[12345::]",
                                  "[g::]",
                                  "[1:2:3:4:5:6:7:8:9]",
                                  "[1:2:3:4:5:6:7:8::]",
                                  "[1.2.3.4]",
                                  "[::1.2.3]",
                                  "[::256.1.1.1]",
                                  "[::01.1.1.1]",
                                  "[1.2.3.4::]",
                                  "[v1.a]",
                                  "a]",
                                  "a[",
                                  "[[::1]]",
                                  "http://a"}) {
        INFO(text);
        CHECK(parse(text) == "refused");
    }
    CHECK(parse(std::string(256, 'a')) == "refused");
    CHECK(parse(std::string_view("a\0b", 3)) == "refused");
}

}  // namespace edgeproxy::http
