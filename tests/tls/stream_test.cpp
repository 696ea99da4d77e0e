// SPDX-License-Identifier: Apache-2.0
#include "tls/stream.hpp"

#include <openssl/err.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <random>

#include "peer.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using namespace std::chrono_literals;

namespace {

std::string noise(std::size_t size) {
    std::mt19937 random{7};
    std::string text(size, ' ');
    for (char& c : text) c = static_cast<char>(random());
    return text;
}

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

io::Task<void> reads(Stream& stream, std::size_t buffer_size, std::string& got, io::error_code& end) {
    std::string buffer(buffer_size, ' ');
    for (;;) {
        const auto count = co_await stream.read_some(buffer);
        if (count.has_error()) {
            end = count.error();
            co_return;
        }
        got.append(buffer, 0, *count);
    }
}

io::Task<void> writes(Stream& stream, std::string_view first, std::string_view second, io::Result<std::size_t>& done) {
    done = co_await stream.write_all(first, second);
}

io::Task<void> waits(Stream& stream, bool& woken) {
    co_await stream.wait_readable();
    woken = true;
}

const io::Result<std::size_t> pending{io::errc::cancelled};

Wishes of_version(int version) {
    return {.lowest = version, .highest = version};
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

TEST_CASE("head and body share a record and a send", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    const std::size_t before = client->raw_received;
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, "head ", "body", done));
    client->pump();
    CHECK(client->received == "head body");
    CHECK(client->records == std::vector<std::size_t>{9});
    CHECK(client->raw_received - before == 9 + 22);
    CHECK(*done == 9);
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

TEST_CASE("close_notify ends reading only", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    std::string got;
    io::error_code end;
    client->send("last words");
    client->close_notify();
    client->pump();
    client->fin();
    world.reactor.run_once(io::Duration::zero());
    world.reactor.spawn(reads(*stream, 100, got, end));
    CHECK(got == "last words");
    CHECK(end == io::errc::eof);
    CHECK_FALSE(stream->truncated());
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, "the answer", {}, done));
    stream->shutdown_write();
    world.settle(*client);
    CHECK(client->received == "the answer");
    CHECK(client->ended);
    CHECK(client->closed);
}

TEST_CASE("our close_notify leaves the peer's direction open", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    stream->shutdown_write();
    client->pump();
    CHECK(client->ended);
    std::string got;
    io::error_code end;
    client->send("still here");
    world.deliver(*client);
    world.reactor.spawn(reads(*stream, 100, got, end));
    CHECK(got == "still here");
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, "too late", {}, done));
    CHECK(done.has_error());
    CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a FIN without close_notify is an end that may be a truncation", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    std::string got;
    io::error_code end;
    client->send("half of it");
    client->pump();
    client->fin();
    world.reactor.run_once(io::Duration::zero());
    world.reactor.spawn(reads(*stream, 100, got, end));
    CHECK(got == "half of it");
    CHECK(end == io::errc::eof);
    CHECK(stream->truncated());
    CHECK(stream->has_buffered());
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, "an answer all the same", {}, done));
    world.settle(*client);
    CHECK(client->received == "an answer all the same");
}

TEST_CASE("a broken record ends the stream, after what came before it", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    client->send("good");
    client->pump();
    client->send_raw(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
    world.deliver(*client);
    std::string got;
    io::error_code end;
    world.reactor.spawn(reads(*stream, 100, got, end));
    CHECK(got == "good");
    CHECK(end == errc::protocol);
    world.settle(*client);
    CHECK(client->alert == SSL_AD_BAD_RECORD_MAC);
    CHECK(ERR_peek_error() == 0);
}

TEST_CASE("a reset is a system error", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected();
    io::Result<std::size_t> done = pending;
    client->close();
    world.reactor.spawn(writes(*stream, "hello", {}, done));
    REQUIRE(done.has_error());
    CHECK(done.error() == boost::system::errc::broken_pipe);
}

TEST_CASE("some key updates are served, a flood of them ends the connection", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected(of_version(TLS1_3_VERSION));
    std::string got;
    io::error_code end;
    world.reactor.spawn(reads(*stream, 100, got, end));
    for (unsigned i = 0; i < Session::free_glitches; ++i) {
        client->update_key();
        client->send("x");
        world.settle(*client, 3);
    }
    CHECK_FALSE(end);
    CHECK(got.size() == Session::free_glitches);
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, "under new keys", {}, done));
    world.settle(*client);
    CHECK(client->received == "under new keys");
    client->update_key();
    world.settle(*client, 3);
    client->send("y");
    world.settle(*client, 3);
    CHECK(end == errc::flood);
}

TEST_CASE("renegotiation is refused, and the client told so", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected(of_version(TLS1_2_VERSION));
    std::string got;
    io::error_code end;
    world.reactor.spawn(reads(*stream, 100, got, end));
    const std::size_t before = client->raw_received;
    SSL_renegotiate(client->ssl());
    SSL_do_handshake(client->ssl());
    ERR_clear_error();
    world.settle(*client);
    CHECK(got.empty());
    CHECK(client->raw_received - before < 50);  // an alert, no ServerHello
    CHECK(end == errc::alert);                  // this client gives up then
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
