// SPDX-License-Identifier: Apache-2.0
// How many TLS handshakes a source may begin.
#include "proxy/handshake_rate.hpp"

#include <catch2/catch.hpp>

#include "config/address.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;

namespace {

constexpr HandshakeRate::Limit usual{100, 2s};
const io::TimePoint begin{1000s};

io::Peer peer(const char* text) {
    io::Peer made;
    const auto ip = config::parse_ip(text).value();
    std::copy(std::begin(ip.bytes), std::end(ip.bytes), made.ip.begin());
    made.is_ip = true;
    return made;
}

/// How many of `tries` at that time are let in.
unsigned let_in(HandshakeRate& rate, const io::Peer& from, io::TimePoint at, unsigned tries = 1000,
                std::size_t listener = 0, HandshakeRate::Limit limit = usual) {
    unsigned count = 0;
    for (unsigned i = 0; i < tries; ++i) count += rate.take(from, listener, limit, at) ? 1 : 0;
    return count;
}

}  // namespace

TEST_CASE("a source has its burst, and then its rate", "[proxy][handshake_rate]") {
    HandshakeRate rate(7);
    const io::Peer one = peer("192.0.2.1");
    CHECK(let_in(rate, one, begin) == 100);
    CHECK(let_in(rate, one, begin + 19ms) == 0);
    CHECK(let_in(rate, one, begin + 20ms) == 1);
    CHECK(let_in(rate, one, begin + 1s) == 49);
    CHECK(let_in(rate, one, begin + 10s) == 100);
}

TEST_CASE("what counts as the same source", "[proxy][handshake_rate]") {
    struct Case {
        const char *first, *second;
        std::size_t listener;
        unsigned left;
    };
    const auto c = GENERATE(values<Case>({
        {"192.0.2.1", "192.0.2.1", 0, 0},
        {"192.0.2.1", "192.0.2.2", 0, 100},
        {"192.0.2.1", "192.0.2.1", 1, 100},
        {"2001:db8::1", "2001:db8::2", 0, 0},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", 0, 0},
        {"2001:db8::1", "2001:db8:0:1::1", 0, 100},
    }));
    INFO(c.first << " " << c.second);
    HandshakeRate rate(7);
    CHECK(let_in(rate, peer(c.first), begin) == 100);
    CHECK(let_in(rate, peer(c.second), begin, 1000, c.listener) == c.left);
}

TEST_CASE("no limit, and no address, mean no limit", "[proxy][handshake_rate]") {
    HandshakeRate rate(7);
    CHECK(let_in(rate, peer("192.0.2.1"), begin, 1000, 0, {0, 2s}) == 1000);
    CHECK(let_in(rate, io::Peer{}, begin) == 1000);
}

TEST_CASE("a crowd of sources does not free one that is over its limit, nor grow the table",
          "[proxy][handshake_rate]") {
    HandshakeRate rate(7);
    const io::Peer loud = peer("192.0.2.1");
    CHECK(let_in(rate, loud, begin) == 100);
    io::Peer other = peer("10.0.0.0");
    for (unsigned i = 0; i < 50'000; ++i) {
        other.ip[13] = static_cast<std::uint8_t>(i >> 16);
        other.ip[14] = static_cast<std::uint8_t>(i >> 8);
        other.ip[15] = static_cast<std::uint8_t>(i);
        CHECK(rate.take(other, 0, usual, begin));
    }
    CHECK(let_in(rate, loud, begin) == 0);
}
