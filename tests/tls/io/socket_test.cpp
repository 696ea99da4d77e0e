// SPDX-License-Identifier: Apache-2.0
#include "tls/io/socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>

using namespace edgeproxy::io;
using namespace std::chrono_literals;

namespace {

Task<void> reads(Socket& socket, std::string& got, error_code& end) {
    char buffer[64];
    for (;;) {
        const auto count = co_await socket.read_some(buffer);
        if (!count) {
            end = count.error();
            co_return;
        }
        got.append(buffer, *count);
    }
}

Task<void> writes(Socket& socket, const std::string& text, Result<std::size_t>& outcome) {
    outcome = co_await socket.write_all(text);
}

Task<void> writes_two(Socket& socket, std::string_view head, std::string_view body) {
    co_await socket.write_all(head, body);
}

Task<void> reads_into(Socket& socket, Buffer& buffer, std::size_t from, std::size_t size, Result<std::size_t>& got) {
    got = co_await socket.read_some(buffer, from, size);
}

struct Pair {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    std::pair<UniqueFd, UniqueFd> fds = socket_pair();
    Socket near{reactor, std::move(fds.first)};
    Socket far{reactor, std::move(fds.second)};

    /// Lets virtual time pass.
    void pass(Duration time) {
        const TimePoint until = clock.now() + std::chrono::duration_cast<TimePoint::duration>(time);
        while (clock.now() < until) reactor.run_once(until - clock.now());
        run();
    }
    void run() {
        for (int i = 0; i < 100; ++i) reactor.run_once(Duration::zero());
    }
};

void delivers(Pair& pair, const std::string& text) {
    Result<std::size_t> sent{0};
    pair.reactor.spawn(writes(pair.near, text, sent));
    pair.run();
}

struct Watch final : Socket::IdleWatch {
    int ended = 0;
    void idle_ended(Socket&) override { ++ended; }
};

}  // namespace

TEST_CASE("bytes come through whole and the end is told", "[io][socket]") {
    Pair pair;
    const std::string text(3'000'000, 'x');  // more than the kernel takes at once, so both sides must wait
    std::string got;
    error_code end;
    Result<std::size_t> sent{0};
    pair.reactor.spawn(reads(pair.far, got, end));
    pair.reactor.spawn(writes(pair.near, text, sent));
    while (got.size() < text.size()) pair.reactor.run_once(Duration::zero());
    CHECK(got == text);
    CHECK(*sent == text.size());
    pair.near.shutdown_write();
    pair.run();
    CHECK(end == errc::eof);
    CHECK(pair.reactor.spawned() == 0);
}

TEST_CASE("who waits for bytes holds no buffer", "[io][socket]") {
    const std::size_t size = GENERATE(BufferPool::small, BufferPool::large);
    Pair pair;
    Buffer buffer;
    Result<std::size_t> got{0};
    pair.reactor.spawn(reads_into(pair.far, buffer, 0, size, got));
    pair.run();
    CHECK_FALSE(buffer);
    delivers(pair, "abc");
    REQUIRE(*got == 3);
    CHECK(buffer.size() == size);
    // One that is there is filled up.
    pair.reactor.spawn(reads_into(pair.far, buffer, 3, BufferPool::small, got));
    delivers(pair, "def");
    REQUIRE(*got == 3);
    CHECK(buffer.size() == size);
    CHECK(std::string_view(buffer.data(), 6) == "abcdef");
    // Nor is one taken for the end.
    buffer.release();
    pair.reactor.spawn(reads_into(pair.far, buffer, 0, size, got));
    pair.near.shutdown_write();
    pair.run();
    CHECK(got.error() == errc::eof);
    CHECK_FALSE(buffer);
}

TEST_CASE("head and body leave in one call", "[io][socket]") {
    Pair pair;
    pair.reactor.spawn(writes_two(pair.near, "head ", "body"));
    char buffer[32];
    CHECK(::recv(pair.far.fd(), buffer, sizeof buffer, 0) == 9);
    CHECK(std::string(buffer, 9) == "head body");
}

TEST_CASE("a read ends at its deadline", "[io][socket]") {
    Pair pair;
    std::string got;
    error_code end;
    pair.near.read_deadline(pair.reactor.now() + 10s);
    pair.reactor.spawn(reads(pair.near, got, end));
    pair.pass(9s);
    CHECK_FALSE(end);
    pair.pass(2s);
    CHECK(end == errc::timed_out);
}

TEST_CASE("a write ends when the peer takes nothing for too long, and not while it takes a little", "[io][socket]") {
    Pair pair;
    const std::string text(2'000'000, 'x');
    Result<std::size_t> sent{1};
    pair.near.write_stall(10s);
    pair.reactor.spawn(writes(pair.near, text, sent));
    std::string taken(400'000, ' ');
    for (int i = 0; i < 3; ++i) {
        pair.pass(8s);
        REQUIRE(pair.reactor.spawned() == 1);
        REQUIRE(::recv(pair.far.fd(), taken.data(), taken.size(), 0) > 0);
        pair.reactor.run_once(Duration::zero());
    }
    pair.pass(11s);
    REQUIRE(sent.has_error());
    CHECK(sent.error() == errc::timed_out);
}

TEST_CASE("cancel ends what is pending and what comes later", "[io][socket]") {
    Pair pair;
    std::string got;
    error_code end;
    pair.reactor.spawn(reads(pair.near, got, end));
    pair.near.cancel();
    pair.run();
    CHECK(end == errc::cancelled);
    end = {};
    pair.reactor.spawn(reads(pair.near, got, end));
    CHECK(end == errc::cancelled);
}

TEST_CASE("a closed peer ends the idle watch of a kept connection", "[io][socket]") {
    Pair pair;
    pair.run();
    char byte;
    CHECK(pair.near.receive({&byte, 1}).again);
    Watch watch;
    pair.near.watch_idle(&watch);
    pair.run();
    CHECK(watch.ended == 0);
    pair.far.close();
    pair.run();
    CHECK(watch.ended == 1);
    CHECK(pair.near.peer_closed());
}

namespace {
Task<void> connects(Reactor& reactor, SocketAddress to, Result<std::unique_ptr<Socket>>& outcome) {
    outcome = co_await connect(reactor, to, reactor.now() + 5s);
}
}  // namespace

TEST_CASE("connect succeeds to a listener and is refused without one", "[io][socket]") {
    Clock clock = Clock::real();
    Reactor reactor{0, clock};
    UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
    REQUIRE(::listen(listener.get(), 8) == 0);
    socklen_t size = sizeof any;
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&any), &size);
    const auto to =
        SocketAddress::from_literal({edgeproxy::config::Address::Kind::tcp, "127.0.0.1", ntohs(any.sin_port)});
    Result<std::unique_ptr<Socket>> outcome{errc::eof};
    reactor.spawn(connects(reactor, to, outcome));
    while (reactor.spawned() > 0) reactor.run_once(1s);
    REQUIRE(outcome.has_value());
    CHECK((*outcome)->is_open());

    listener.reset();
    Result<std::unique_ptr<Socket>> refused{errc::eof};
    reactor.spawn(connects(reactor, to, refused));
    while (reactor.spawned() > 0) reactor.run_once(1s);
    REQUIRE(refused.has_error());
    CHECK(refused.error() == boost::system::errc::connection_refused);
}
