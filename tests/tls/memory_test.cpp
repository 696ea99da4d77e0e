// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "far_client.hpp"
#include "peer.hpp"
#include "tls/openssl_heap.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using namespace std::chrono_literals;

namespace {

/// Accepts, answers one request, then waits for the next one without holding a buffer.
io::Task<void> serves_one(Stream& stream, World& world, std::size_t& idle) {
    const auto accepted = co_await stream.accept(world.context, world.windows);
    if (accepted.has_error()) co_return;
    char request[256];
    const auto got = co_await stream.read_some(request);
    if (got.has_error()) co_return;
    const std::string_view head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", body = "ok";
    co_await stream.write_all(head, body);
    ++idle;
    co_await stream.wait_readable();
}

void asks(SSL* ssl) {
    std::size_t count = 0;
    char response[256];
    SSL_write_ex(ssl, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, &count);
    SSL_read_ex(ssl, response, sizeof response, &count);
}

std::size_t heap() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Server {
    World world;
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<io::UniqueFd> far;
    std::size_t idle = 0;

    void add(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            auto fds = io::socket_pair();
            streams.push_back(
                std::make_unique<Stream>(std::make_unique<io::Socket>(world.reactor, std::move(fds.first))));
            far.push_back(std::move(fds.second));
            world.reactor.spawn(serves_one(*streams.back(), world, idle));
        }
        world.reactor.run_once(io::Duration::zero());
    }
    ~Server() {
        world.reactor.cancel_all();
        for (int i = 0; i < 3; ++i) world.reactor.run_once(io::Duration::zero());
    }
};

}  // namespace

TEST_CASE("the memory of OpenSSL is chosen before its first use, or never", "[tls][memory]") {
    OPENSSL_free(OPENSSL_malloc(1));
    CHECK_FALSE(install_openssl_heap());
}

TEST_CASE("an idle TLS connection holds at most 18 KiB, one that has said nothing 3 KiB", "[tls][memory]") {
    constexpr std::size_t count = 200;
    Server server;
    server.streams.reserve(count);
    server.far.reserve(count);
    const std::size_t before = heap();
    if (before == 0) return;  // a sanitizer's malloc does not count
    server.add(count);
    const std::size_t silent = (heap() - before) / count;
    std::size_t idle = 0;
    {
        const FarClients clients{std::move(server.far), asks};
        server.far.clear();
        // The clients are a thread of their own, which has to come to its turn.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (server.idle < count && std::chrono::steady_clock::now() < deadline) {
            if (!server.world.reactor.run_once(io::Duration::zero())) std::this_thread::yield();
        }
        REQUIRE(server.idle == count);
        idle = (heap() - before) / count;
    }
    std::cout << "heap of a connection: silent " << silent << " bytes, idle after a request " << idle << " bytes\n";
    CHECK(silent <= 3 * 1024);
    CHECK(idle <= 18 * 1024);
}
