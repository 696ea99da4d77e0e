// SPDX-License-Identifier: Apache-2.0
#include "config/address.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;

TEST_CASE("an address is read and written the same", "[config][address]") {
    const auto [text, host, port, loopback, literal] = GENERATE(table<std::string, std::string, int, bool, bool>({
        {":443", "", 443, false, true},
        {":0", "", 0, false, true},
        {"127.0.0.1:8000", "127.0.0.1", 8000, true, true},
        {"127.9.9.9:1", "127.9.9.9", 1, true, true},
        {"0.0.0.0:80", "0.0.0.0", 80, false, true},
        {"[::1]:443", "::1", 443, true, true},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535, false, true},
        {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, true, true},
        {"localhost:80", "localhost", 80, true, false},
        {"my_app.internal:8000", "my_app.internal", 8000, false, false},
    }));
    const auto address = parse_address(text);
    REQUIRE(address);
    CHECK(address->kind == Address::Kind::tcp);
    CHECK(address->host == host);
    CHECK(address->port == port);
    CHECK(address->is_loopback() == loopback);
    CHECK(address->is_literal() == literal);
    CHECK(address->to_string() == text);
}

TEST_CASE("a unix path is an address", "[config][address]") {
    const auto address = parse_address("unix:/run/app.sock");
    REQUIRE(address);
    CHECK(address->is_unix());
    CHECK(address->host == "/run/app.sock");
    CHECK(address->is_loopback());
    CHECK(address->to_string() == "unix:/run/app.sock");
    CHECK(parse_address("unix:/" + std::string(106, 'x')));
    CHECK_FALSE(parse_address("unix:/" + std::string(107, 'x')));
}

TEST_CASE("what a service manager passed is an address by its name", "[config][address]") {
    const auto address = parse_address("fd:https");
    REQUIRE(address);
    CHECK(address->is_inherited());
    CHECK(address->host == "https");
    CHECK_FALSE(address->is_loopback());
    CHECK(address->is_literal());
    CHECK(address->to_string() == "fd:https");
    CHECK(parse_address("fd:edge-1.socket"));
    CHECK(parse_address("fd:443")->kind == Address::Kind::tcp);  // a host called fd
    for (const char* text : {"fd:", "fd:a b", "fd:a/b", "fd:a:b"}) CHECK_FALSE(parse_address(text));
}

TEST_CASE("what is no address is none", "[config][address]") {
    for (const char* text :
         {"",     ":",     "443",     "host",     "host:",        "host:x",      ":65536",       ":-1",
          ":080", "::1",   "[::1]",   "[::1:443", "[1.2.3.4]:80", "1.2.3:80",    "999.0.0.1:80", "a b:80",
          "-:",   ".a:80", "a..b:80", "unix:",    "unix:rel",     "http://a:80", "a:b:80"}) {
        INFO(text);
        CHECK_FALSE(parse_address(text));
    }
}

TEST_CASE("a range holds what its prefix says, IPv4 also in its mapped form", "[config][address]") {
    const auto [range, ip, inside] = GENERATE(table<std::string, std::string, bool>({
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"192.168.1.128/25", "192.168.1.127", false},
        {"192.168.1.128/25", "192.168.1.200", true},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "8.8.8.8", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
    }));
    const auto cidr = parse_cidr(range);
    const auto bytes = parse_ip(ip);
    REQUIRE(cidr);
    REQUIRE(bytes);
    CHECK(cidr->contains(bytes->bytes) == inside);
}

TEST_CASE("ranges are written plainly and compared by what they hold", "[config][address]") {
    CHECK(parse_cidr("10.1.2.3/8")->to_string() == "10.0.0.0/8");
    CHECK(parse_cidr("10.1.2.3/8") == parse_cidr("10.0.0.0/8"));
    CHECK(parse_cidr("::1")->to_string() == "::1/128");
    CHECK(parse_cidr("0.0.0.0/0")->to_string() == "0.0.0.0/0");
    CHECK(parse_cidr("::/0")->to_string() == "::/0");
    for (const char* text :
         {"", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/08", "a/8"}) {
        INFO(text);
        CHECK_FALSE(parse_cidr(text));
    }
}

TEST_CASE("an IP literal is sixteen bytes", "[config][address]") {
    CHECK(parse_ip("1.2.3.4") == parse_ip("::ffff:1.2.3.4"));
    CHECK(parse_ip("::1")->bytes[15] == 1);
    for (const char* text : {"", "1.2.3", "1.2.3.4 ", "::1%eth0", "[::1]", "localhost", "1.2.3.4:80"}) {
        INFO(text);
        CHECK_FALSE(parse_ip(text));
    }
}
