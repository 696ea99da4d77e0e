// SPDX-License-Identifier: Apache-2.0
#include "tls/stream.hpp"

#include <openssl/err.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "peer.hpp"
#include "tasks.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using namespace std::chrono_literals;

namespace {

io::Task<void> echoes(Stream& stream, std::size_t buffer_size, io::error_code& end) {
    std::string buffer(buffer_size, ' ');
    for (;;) {
        const auto got = co_await stream.read_some(buffer);
        if (got.has_error()) {
            end = got.error();
            co_return;
        }
        const auto put = co_await stream.write_all({buffer.data(), *got});
        if (put.has_error()) {
            end = put.error();
            co_return;
        }
    }
}

io::Task<void> waits(Stream& stream, bool& woken) {
    co_await stream.wait_readable();
    woken = true;
}

io::Task<void> reads_into(Stream& stream, io::Buffer& buffer, io::Result<std::size_t>& got) {
    got = co_await stream.read_some(buffer, 0);
}

io::Task<void> greets(Stream& stream, const Context& context, Windows& windows, bool& done) {
    const auto accepted = co_await stream.accept(context, windows);
    if (accepted.has_value()) co_await stream.write_all(std::string_view("hello"));
    done = true;
}

}  // namespace

TEST_CASE("a mebibyte comes back whole, however it is read and cut", "[tls][stream]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const std::size_t buffer = GENERATE(as<std::size_t>(), 100, 4096, 16384, 128 * 1024);
    const std::size_t cut = GENERATE(as<std::size_t>(), 1500, 1'000'000);
    INFO(version << " buffer " << buffer << " cut " << cut);
    World world;
    const auto [stream, client] = world.connected(of_version(version));
    client->cut = cut;
    io::error_code end;
    world.reactor.spawn(echoes(*stream, buffer, end));
    const std::string text = noise(1024 * 1024);
    client->send(text);
    REQUIRE(world.until(*client, [&, c = client.get()] { return c->received.size() >= text.size(); }));
    CHECK(client->received == text);
    client->close_notify();
    world.settle(*client);
    CHECK(end == io::errc::eof);
    CHECK_FALSE(stream->truncated());
    CHECK(ERR_peek_error() == 0);
}

TEST_CASE("bytes may come one by one", "[tls][stream]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world;
    const auto [stream, client] = world.connected(of_version(version));
    client->cut = 1;
    io::error_code end;
    world.reactor.spawn(echoes(*stream, 7, end));
    const std::string text = noise(3000);
    client->send(text);
    REQUIRE(world.until(*client, [&, c = client.get()] { return c->received.size() >= text.size(); }));
    CHECK(client->received == text);
}

TEST_CASE("who waits for the rest of a record holds no buffer", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    client->cut = 1;
    io::Buffer buffer;
    io::Result<std::size_t> got{0};
    world.reactor.spawn(reads_into(*stream, buffer, got));
    client->send("record");
    unsigned waits = 0;
    for (; *got == 0 && waits < 1000; ++waits) {
        CHECK_FALSE(buffer);
        client->pump();
        world.reactor.run_once(io::Duration::zero());
    }
    CHECK(waits > 20);  // a record is longer than what it carries
    REQUIRE(*got == 6);
    CHECK(std::string_view(buffer.data(), *got) == "record");
}

TEST_CASE("many small records that arrive at once are read at once", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    std::string expected;
    for (int i = 0; i < 100; ++i) {
        client->send("record " + std::to_string(i) + "\n");
        expected += "record " + std::to_string(i) + "\n";
    }
    world.deliver(*client);
    char buffer[16 * 1024];
    io::Read read = stream->read_some(buffer);
    REQUIRE(read.await_ready());
    CHECK(std::string_view(buffer, *read.await_resume()) == expected);
    CHECK_FALSE(stream->has_buffered());
    CHECK_FALSE(stream->socket().readable());
}

TEST_CASE("what is left of a record, or of the window, needs no new event", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    client->send("0123456789");
    client->send("abcdefghij");
    client->send("ABCDEFGHIJ");
    world.deliver(*client);
    std::string got;
    while (got.size() < 30) {
        bool woken = false;
        world.reactor.spawn(waits(*stream, woken));
        REQUIRE(woken);  // at once, not after an event
        char buffer[4];
        io::Read read = stream->read_some(buffer);
        REQUIRE(read.await_ready());
        const std::size_t count = *read.await_resume();
        got.append(buffer, count);
        CHECK(stream->has_buffered() == (got.size() < 30));
    }
    CHECK(got == "0123456789abcdefghijABCDEFGHIJ");
}

TEST_CASE("data that comes with the end of the handshake is not lost", "[tls][stream]") {
    World world;
    io::error_code outcome, end;
    bool done = false;
    const auto [stream, client] = world.connect();
    world.reactor.spawn(accepts(*stream, world, outcome, done));
    client->pump();
    world.reactor.run_once(io::Duration::zero());
    client->pump();  // writes Finished
    REQUIRE(client->done());
    CHECK_FALSE(done);
    client->send("request");
    client->pump();
    world.settle(*client, 3);
    REQUIRE(done);
    std::string got;
    world.reactor.spawn(reads(*stream, 100, got, end));
    CHECK(got == "request");
}

TEST_CASE("a response that the peer does not take waits as a tail and comes whole", "[tls][stream]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world;
    const auto [stream, client] = world.connected(of_version(version));
    const std::string head(200, 'h'), body = noise(5 * 1024 * 1024);
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, head, body, done));
    for (int i = 0; i < 10; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK(done == pending);
    client->cut = 10'000;
    REQUIRE(world.until(*client, [&, c = client.get()] { return c->received.size() >= head.size() + body.size(); }));
    CHECK(client->received == head + body);
    CHECK(*done == head.size() + body.size());
}

TEST_CASE("a write ends when the peer takes nothing", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    stream->socket().write_stall(10s);
    const std::string body(4 * 1024 * 1024, 'x');
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, body, {}, done));
    for (int i = 0; i < 1000 && done == pending; ++i) world.reactor.run_once(1s);
    REQUIRE(done.has_error());
    CHECK(done.error() == io::errc::timed_out);
    CHECK(world.reactor.spawned() == 0);
}

TEST_CASE("a read ends at its deadline, and later reads go on", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    std::string got;
    io::error_code end;
    stream->socket().read_deadline(world.reactor.now() + 5s);
    world.reactor.spawn(reads(*stream, 100, got, end));
    for (int i = 0; i < 1000 && !end; ++i) world.reactor.run_once(1s);
    CHECK(end == io::errc::timed_out);
    stream->socket().read_deadline(io::never);
    end = {};
    world.reactor.spawn(reads(*stream, 100, got, end));
    client->send("late");
    world.settle(*client);
    CHECK(got == "late");
}

TEST_CASE("reading and writing do not disturb each other", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    const std::string up = noise(1024 * 1024), down = noise(2 * 1024 * 1024);
    std::string got;
    io::error_code end;
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(reads(*stream, 5000, got, end));
    world.reactor.spawn(writes(*stream, down, {}, done));
    client->send(up);
    client->cut = 7000;
    REQUIRE(world.until(
        *client, [&, c = client.get()] { return c->received.size() >= down.size() && got.size() >= up.size(); }));
    CHECK(client->received == down);
    CHECK(got == up);
    CHECK(*done == down.size());
}

TEST_CASE("pieces share records and a send", "[tls][stream]") {
    struct Case {
        std::size_t first, second, third;
        std::vector<std::size_t> records;
    };
    const auto c = GENERATE(values<Case>({
        {5, 4, 0, {9}},
        {5, 4, 3, {12}},
        {5, 0, 3, {8}},
        {0, 0, 3, {3}},
        {0, 4, 0, {4}},
        {1399, 1, 1, {1400, 1}},
        {1400, 5, 2, {1400, 7}},
        {6, 2800, 2, {1400, 1400, 8}},
    }));
    World world;
    const auto [stream, client] = world.connected();
    const std::size_t before = client->raw_received;
    const std::string first(c.first, 'a'), second(c.second, 'b'), third(c.third, 'c');
    io::Write write = stream->write_all(first, second, third);
    REQUIRE(write.await_ready());
    CHECK(*write.await_resume() == c.first + c.second + c.third);
    client->pump();
    CHECK(client->received == first + second + third);
    CHECK(client->records == c.records);
    CHECK(client->raw_received - before == client->received.size() + c.records.size() * 22);
}

TEST_CASE("records are small at first and after a pause, full in between", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    client->records.clear();
    const std::string body(256 * 1024, 'x');
    const auto record_sizes = [&, s = stream.get(), c = client.get()] {
        io::Result<std::size_t> done = pending;
        c->records.clear();
        c->received.clear();
        world.reactor.spawn(writes(*s, body, {}, done));
        world.until(*c, [&] { return c->received.size() >= body.size(); });
        return std::pair(c->records.front(), c->records[c->records.size() - 2]);
    };
    CHECK(record_sizes() == std::pair(Session::small_record, Windows::record));
    CHECK(record_sizes().first == Windows::record);
    CHECK(client->records.size() == 16);
    world.clock.advance(2s);
    world.reactor.run_once(io::Duration::zero());
    CHECK(record_sizes() == std::pair(Session::small_record, Windows::record));
}

TEST_CASE("a kept connection that gets a request ends its idle watch", "[tls][stream]") {
    struct Watch final : io::Socket::IdleWatch {
        int ended = 0;
        void idle_ended(io::Socket&) override { ++ended; }
    } watch;
    World world;
    const auto [stream, client] = world.connected();
    char buffer[100];
    client->send("first");
    world.deliver(*client);
    io::Read read = stream->read_some(buffer);
    REQUIRE(read.await_ready());
    REQUIRE_FALSE(stream->has_buffered());
    REQUIRE_FALSE(stream->socket().readable());
    world.settle(*client);
    stream->socket().watch_idle(&watch);
    world.settle(*client);
    CHECK(watch.ended == 0);
    client->send("second");
    world.settle(*client, 3);
    CHECK(watch.ended == 1);
}

TEST_CASE("reactors on their own threads share a context", "[tls][stream]") {
    World world;
    std::array<int, 2> served{};
    {
        std::vector<std::jthread> threads;
        for (int& count : served) {
            threads.emplace_back([&world, &count] {
                io::Clock clock = io::Clock::manual();
                io::Reactor reactor{0, clock};
                Windows windows{reactor};
                for (int i = 0; i < 20; ++i) {
                    auto fds = io::socket_pair();
                    Stream stream{std::make_unique<io::Socket>(reactor, std::move(fds.first))};
                    Client client{std::move(fds.second), {.server_name = "localhost"}};
                    bool done = false;
                    reactor.spawn(greets(stream, world.context, windows, done));
                    for (int turn = 0; turn < 1000 && client.received.empty(); ++turn) {
                        reactor.run_once(io::Duration::zero());
                        client.pump();
                    }
                    count += done && client.received == "hello" ? 1 : 0;
                }
            });
        }
        for (int i = 0; i < 20; ++i) {
            world.clock.advance(13h);
            world.tickets.advance(world.clock.now());
            std::this_thread::yield();
        }
    }
    CHECK(served == std::array<int, 2>{20, 20});
}

TEST_CASE("a plain stream is the socket", "[tls][stream]") {
    World world;
    auto fds = io::socket_pair();
    Stream stream{std::make_unique<io::Socket>(world.reactor, std::move(fds.first))};
    CHECK_FALSE(stream.is_tls());
    CHECK(stream.tls_version().empty());
    CHECK(stream.server_name().empty());
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(stream, "head ", "body", done));
    stream.shutdown_write();
    char buffer[32];
    CHECK(::recv(fds.second.get(), buffer, sizeof buffer, 0) == 9);
    CHECK(::recv(fds.second.get(), buffer, sizeof buffer, 0) == 0);
}
