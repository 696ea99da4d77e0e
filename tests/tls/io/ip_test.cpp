// SPDX-License-Identifier: Apache-2.0
#include "tls/io/ip.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy;
using namespace edgeproxy::io;

TEST_CASE("a peer's address is written as people write it", "[io][ip]") {
    const auto text =
        GENERATE(std::string("0.0.0.0"), "127.0.0.1", "10.20.30.4", "255.255.255.255", "::1", "2001:db8::1:0:0:1");
    const auto address = SocketAddress::from_literal({config::Address::Kind::tcp, text, 8080});
    REQUIRE(address.size > 0);
    CHECK(address.peer().to_string() == text);
    CHECK(address.peer().port == 8080);
}

TEST_CASE("a unix socket has no address", "[io][ip]") {
    const auto address = SocketAddress::from_literal({config::Address::Kind::unix_path, "/tmp/x.sock", 0});
    REQUIRE(address.is_unix());
    CHECK(address.peer().to_string() == "unix");
    const std::string longest(200, 'x');
    CHECK(SocketAddress::from_literal({config::Address::Kind::unix_path, longest, 0}).size == 0);
}
