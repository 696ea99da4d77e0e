// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/tls/io/short_heap.hpp"
#include "tls/io/pipe_pool.hpp"
#include "tls/io/socket.hpp"

using namespace edgeproxy::io;

namespace {

Task<void> yields_after(Reactor& reactor, Event& event, int& ended) {
    const auto waited = co_await event.wait();
    co_await reactor.yield();
    if (waited) ++ended;
}

Task<void> reads(Socket& socket, error_code& outcome) {
    char byte;
    const auto got = co_await socket.read_some({&byte, 1});
    if (!got) outcome = got.error();
}

struct Deaf final : Source {
    void ready(Events) override {}
};

}  // namespace

TEST_CASE("a coroutine is resumed, yields and ends where there is no memory", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    auto [near, far] = socket_pair();
    Socket socket{reactor, std::move(near)};
    Event event{reactor};
    int ended = 0;
    error_code outcome;
    reactor.spawn(yields_after(reactor, event, ended));
    reactor.spawn(reads(socket, outcome));
    {
        const test::NoMemory none;
        event.set();
        socket.cancel_read();
        for (int turns = 0; turns < 3; ++turns) reactor.run_once(Duration::zero());
    }
    CHECK(ended == 1);
    CHECK(outcome == errc::cancelled);
    CHECK(reactor.spawned() == 0);
    CHECK(reactor.exceptions() == 0);
}

TEST_CASE("who yields is resumed in the next turn", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Event first{reactor}, second{reactor};
    int ended = 0;
    reactor.spawn(yields_after(reactor, first, ended));
    reactor.spawn(yields_after(reactor, second, ended));
    second.set();
    first.set();
    reactor.run_once(Duration::zero());
    CHECK(ended == 0);
    reactor.run_once(Duration::zero());
    CHECK(ended == 2);
    CHECK(reactor.spawned() == 0);
}

TEST_CASE("a source leaves its reactor without memory, and is refused if there is none for it", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    auto [a, far_a] = socket_pair();
    auto [b, far_b] = socket_pair();
    Deaf first, second;
    REQUIRE_FALSE(reactor.add(first, a.get()));
    error_code again, refused;
    {
        const test::NoMemory none;
        reactor.remove(first, a.get());
        again = reactor.add(first, a.get());  // its old place is free
        refused = reactor.add(second, b.get());
    }
    CHECK_FALSE(again);
    CHECK(refused == boost::system::errc::not_enough_memory);
    REQUIRE_FALSE(reactor.add(second, b.get()));
    CHECK(reactor.slot_of(first) != reactor.slot_of(second));
    reactor.remove(first, a.get());
    reactor.remove(second, b.get());
}

TEST_CASE("what a pool has lent is given back without memory", "[io]") {
    BufferPool buffers;
    Buffer small = buffers.take_small(), large = buffers.take_large();
    PipePool pipes;
    Pipe pipe = pipes.take(1 << 30), another;
    REQUIRE(pipe);
    {
        const test::NoMemory none;
        small.release();
        large.release();
        pipe.release();
        another = pipes.take(1 << 30);
        another.release();
    }
    CHECK_FALSE(small);
    CHECK_FALSE(large);
    CHECK_FALSE(pipe);
}
