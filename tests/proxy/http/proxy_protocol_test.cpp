// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/proxy_protocol.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/proxy/http/proxy_headers.hpp"

using namespace edgeproxy::http;
using test::v2;
using Status = ProxyHeaderResult::Status;

namespace {

const std::string v4_addresses("\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb", 12);
const std::string v6_addresses = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                                 std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x02" +
                                 std::string("\x00\x50\x1f\x90", 4);

ProxyHeader v4() {
    ProxyHeader header{true, {}, {}};
    header.source = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1}, 56324};
    header.destination = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 1}, 443};
    return header;
}

ProxyHeader v6() {
    ProxyHeader header{true, {}, {}};
    header.source = {{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 80};
    header.destination = {{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 8080};
    return header;
}

struct Case {
    std::string name, bytes;
    ProxyHeader header;
};

std::vector<Case> good() {
    const std::string tlv("\x03\x00\x04\x01\x02\x03\x04", 7);
    return {
        {"version 1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", v4()},
        {"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 80 8080\r\n", v6()},
        {"version 1, unknown", "PROXY UNKNOWN\r\n", {}},
        {"version 1, unknown with words to be ignored", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", {}},
        {"version 1, as long as it may be", "PROXY UNKNOWN " + std::string(max_proxy_v1 - 16, 'x') + "\r\n", {}},
        {"version 2, IPv4", v2(0x21, 0x11, v4_addresses), v4()},
        {"version 2, IPv6", v2(0x21, 0x21, v6_addresses), v6()},
        {"version 2, IPv4 with TLVs", v2(0x21, 0x11, v4_addresses + tlv), v4()},
        {"version 2, as long as it may be", v2(0x21, 0x11, v4_addresses + std::string(max_proxy_v2 - 28, 'x')), v4()},
        {"version 2, local", v2(0x20, 0x00, ""), {}},
        {"version 2, local with addresses, which do not count", v2(0x20, 0x11, v4_addresses), {}},
        {"version 2, unspecified", v2(0x21, 0x00, "whatever"), {}},
        {"version 2, unix", v2(0x21, 0x31, std::string(216, 'x')), {}},
    };
}

}  // namespace

TEST_CASE("a PROXY header says who is behind the balancer, wherever it is cut", "[http][proxy_protocol]") {
    for (const Case& one : good()) {
        INFO(one.name);
        const std::string bytes = one.bytes + "GET / HTTP/1.1\r\n";
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            ProxyHeader header;
            const ProxyHeaderResult result = read_proxy_header(std::string_view(bytes).substr(0, cut), header);
            INFO("cut at " << cut);
            REQUIRE(result.status == (cut < one.bytes.size() ? Status::incomplete : Status::complete));
            if (result.status != Status::complete) continue;
            REQUIRE(result.size == one.bytes.size());
            REQUIRE(header == one.header);
        }
    }
}

TEST_CASE("what is no PROXY header to the letter is refused", "[http][proxy_protocol]") {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"a request", "GET / HTTP/1.1\r\n"},
        {"lower case", "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n"},
        {"no family", "PROXY \r\n"},
        {"nothing", "PROXY\r\n"},
        {"another family", "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"},
        {"two blanks", "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n"},
        {"a blank at the end", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n"},
        {"three words", "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"},
        {"an IPv6 address behind TCP4", "PROXY TCP4 ::1 198.51.100.1 1 2\r\n"},
        {"an IPv4 address behind TCP6", "PROXY TCP6 192.0.2.1 ::1 1 2\r\n"},
        {"an address with a leading zero", "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n"},
        {"a port with a leading zero", "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n"},
        {"a port above 65535", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n"},
        {"a port with a sign", "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n"},
        {"an empty port", "PROXY TCP4 192.0.2.1 198.51.100.1  2\r\n"},
        {"a bare LF", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n"},
        {"a bare CR", "PROXY TCP4 192.0.2.1\r198.51.100.1 1 2\r\n"},
        {"NUL", std::string("PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n", 41)},
        {"too long", "PROXY UNKNOWN " + std::string(max_proxy_v1 - 15, 'x') + "\r\n"},
        {"no end", std::string("PROXY UNKNOWN ") + std::string(200, 'x')},
        {"a broken signature", "\r\n\r\n\r\n"},
        {"version 3", v2(0x31, 0x11, v4_addresses)},
        {"another command", v2(0x22, 0x11, v4_addresses)},
        {"a datagram", v2(0x21, 0x12, v4_addresses)},
        {"another family in version 2", v2(0x21, 0x41, v4_addresses)},
        {"addresses cut short", v2(0x21, 0x11, v4_addresses.substr(0, 11))},
        {"IPv6 addresses cut short", v2(0x21, 0x21, v6_addresses.substr(0, 35))},
        {"version 2 too long", v2(0x21, 0x11, v4_addresses + std::string(max_proxy_v2 - 27, 'x'))},
    };
    for (const auto& [name, bytes] : bad) {
        INFO(name);
        ProxyHeader header;
        CHECK(read_proxy_header(bytes, header).status == Status::malformed);
    }
}

TEST_CASE("once refused, a PROXY header stays refused with more bytes", "[http][proxy_protocol]") {
    for (const Case& one : good()) {
        for (std::size_t at = 0; at < one.bytes.size(); ++at) {
            std::string broken = one.bytes;
            broken[at] = static_cast<char>(broken[at] ^ 0x55);
            bool refused = false;
            for (std::size_t cut = 0; cut <= broken.size(); ++cut) {
                ProxyHeader header;
                const auto status = read_proxy_header(std::string_view(broken).substr(0, cut), header).status;
                if (refused) REQUIRE(status == Status::malformed);
                refused = refused || status == Status::malformed;
            }
        }
    }
}
