// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel_rules.hpp"

#include <thread>

#include "tests/proxy/requests.hpp"

using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

TEST_CASE("a page may open a WebSocket from a listed origin only", "[proxy][tunnel]") {
    const std::vector<std::string> listed{"https://app.test", "https://*.wild.test", "http://localhost:3000"};
    const auto may = [&](const std::string& fields) {
        const ParsedRequest request{get("/ws", "app.test", fields)};
        return may_open_websocket(request, listed);
    };
    for (const char* good : {"https://app.test", "HTTPS://APP.TEST", "https://a.wild.test", "https://a.b.wild.test",
                             "http://localhost:3000"}) {
        INFO(good);
        CHECK(may("Origin: " + std::string(good) + "\r\n"));
    }
    for (const char* bad :
         {"null", "", "http://app.test", "https://app.test:8443", "https://app.test.evil.test", "https://evil.test",
          "https://evil-app.test", "https://wild.test", "https://.wild.test", "https://evilwild.test",
          "http://a.wild.test", "https://a.wild.test:1", "http://localhost", "https://evil.test/.wild.test",
          "https://evil@a.wild.test", "https://app.test, https://evil.test", "https://app.test/"}) {
        INFO(bad);
        CHECK_FALSE(may("Origin: " + std::string(bad) + "\r\n"));
    }
    CHECK_FALSE(may("Origin: https://app.test\r\nOrigin: https://app.test\r\n"));
    CHECK(may(""));
    CHECK(may_open_websocket(ParsedRequest{get("/ws", "app.test", "Origin: https://evil.test\r\n")}, {}));
}

TEST_CASE("places of tunnels never pass their limit and come back", "[proxy][tunnel]") {
    std::atomic<std::uint32_t> open{0};
    {
        TunnelPlace first, second, third;
        CHECK(first.take(open, 2));
        CHECK(second.take(open, 2));
        CHECK_FALSE(third.take(open, 2));
        CHECK(third.take(open, 0));
    }
    CHECK(open == 0);

    std::atomic<std::uint32_t> most{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int turn = 0; turn < 20000; ++turn) {
                TunnelPlace place;
                if (!place.take(open, 3)) continue;
                std::uint32_t seen = open.load();
                for (std::uint32_t before = most.load(); before < seen && !most.compare_exchange_weak(before, seen);) {
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(open == 0);
    CHECK(most <= 3);
}
