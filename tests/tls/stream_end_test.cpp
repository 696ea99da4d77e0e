// SPDX-License-Identifier: Apache-2.0
// How a stream ends, and what does not end it.
#include <openssl/err.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "peer.hpp"
#include "tasks.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;

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

TEST_CASE("an answer to a key update waits behind a response, or alone, until the peer takes it", "[tls][stream]") {
    World world;
    const auto [stream, client] = world.connected(of_version(TLS1_3_VERSION));
    std::string got;
    io::error_code end;
    world.reactor.spawn(reads(*stream, 100, got, end));
    const auto ask = [&, c = client.get()] {
        for (const char* text : {"new", "er"}) {  // OpenSSL answers the first when it sees the second
            c->update_key();
            c->send(text);
            c->flush();
            world.reactor.run_once(io::Duration::zero());
        }
    };
    SECTION("behind a response") {
        const std::string body = noise(2 * 1024 * 1024);
        io::Result<std::size_t> done = pending;
        world.reactor.spawn(writes(*stream, body, {}, done));
        ask();
        client->cut = 10'000;
        REQUIRE(world.until(*client, [&, c = client.get()] { return c->received.size() >= body.size(); }));
        CHECK(client->received == body);
        CHECK(got == "newer");
    }
    SECTION("alone") {
        // Bytes past TLS fill the pipe; the client's test side takes them out again.
        const std::string filler(64 * 1024, 'f');
        std::size_t filled = 0;
        for (ssize_t put = 0; put >= 0; put = ::send(stream->socket().fd(), filler.data(), filler.size(), MSG_DONTWAIT))
            filled += static_cast<std::size_t>(put);
        world.reactor.run_once(io::Duration::zero());
        ask();
        CHECK(got == "newer");
        for (std::string sink(filled, ' '); filled > 0;) {
            const ssize_t taken = ::recv(client->socket(), sink.data(), filled, MSG_DONTWAIT);
            REQUIRE(taken > 0);
            filled -= static_cast<std::size_t>(taken);
        }
        const std::size_t before = client->raw_received;
        world.settle(*client);
        CHECK(client->raw_received > before);
    }
    io::Result<std::size_t> done = pending;
    world.reactor.spawn(writes(*stream, " the end", {}, done));
    world.settle(*client, 100);
    CHECK_THAT(client->received, Catch::EndsWith(" the end"));
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
