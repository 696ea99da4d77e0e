// SPDX-License-Identifier: Apache-2.0
#include "proxy/identity.hpp"

#include "tests/proxy/requests.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

namespace {

/// The client's address as seen for a request from 10.0.0.1 where 10/8 is trusted.
std::string client_of(const std::string& forwarded_for) {
    const ParsedRequest parsed{get("/", "a.example", forwarded_for)};
    config::ClientIp rules;
    rules.trusted_proxies.push_back(*config::parse_cidr("10.0.0.0/8"));
    Arrival arrival;
    arrival.peer.is_ip = true;
    arrival.peer.port = 4711;
    arrival.peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    Identity identity;
    identify(parsed, arrival, rules, "X-Request-ID", identity);
    CHECK(identity.peer() == "10.0.0.1:4711");
    return std::string(identity.client_ip);
}

}  // namespace

TEST_CASE("X-Forwarded-For is walked from the right while the hops are trusted", "[proxy][identity]") {
    const auto [fields, expected] = GENERATE(table<std::string, std::string>({
        {"", "10.0.0.1"},
        {"X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9 , 10.2.2.2\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
        {"X-Forwarded-For: evil, 10.3.3.3\r\n", "10.3.3.3"},
        {"X-Forwarded-For: ,\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 10.9.9.9\r\n", "10.9.9.9"},
    }));
    CAPTURE(fields);
    CHECK(client_of(fields) == expected);
}

TEST_CASE("the walk is bounded", "[proxy][identity]") {
    std::string fields = "X-Forwarded-For: 6.6.6.6";
    for (int i = 0; i < 40; ++i) fields += ", 10.0.1." + std::to_string(i);
    CHECK(client_of(fields + "\r\n") != "6.6.6.6");
}

TEST_CASE("a request id is taken over only in a safe form", "[proxy][identity]") {
    CHECK(is_request_id("a-Z_0.9"));
    CHECK_FALSE(is_request_id(""));
    CHECK_FALSE(is_request_id("a b"));
    CHECK_FALSE(is_request_id(std::string(129, 'a')));
}
