// SPDX-License-Identifier: Apache-2.0
// How a handshake can go, besides well.
#include <openssl/err.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"
#include "tls/error.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using namespace std::chrono_literals;

namespace {

struct Accepting {
    World& world;
    io::error_code outcome{};
    bool done = false;
    World::Connection connection;

    explicit Accepting(World& w, const Wishes& wishes = {}) : world(w), connection(w.connect(wishes)) {
        world.reactor.spawn(accepts(*connection.stream, world, outcome, done));
    }
    Client& client() { return *connection.client; }
    Stream& stream() { return *connection.stream; }
    /// The client says these bytes and nothing else.
    void hears(std::string_view bytes) {
        client().send_raw(bytes);
        client().fin();
        for (int i = 0; i < 20; ++i) world.reactor.run_once(io::Duration::zero());
    }
};

}  // namespace

TEST_CASE("a handshake may come byte by byte", "[tls][handshake]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world;
    Accepting accepting{world, {.lowest = version, .highest = version}};
    accepting.client().cut = 1;
    CHECK(world.until(accepting.client(), [&] { return accepting.done && accepting.client().done(); }));
    CHECK_FALSE(accepting.outcome);
}

TEST_CASE("a client that says too little ends at the deadline", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    const auto bytes = GENERATE(as<std::string_view>(), "", "\x16", "\x16\x03\x01\x02");
    accepting.stream().socket().read_deadline(world.reactor.now() + 5s);
    accepting.client().send_raw(bytes);
    accepting.client().cut = bytes.size();
    accepting.client().pump();
    const auto until = world.clock.now() + 4s;
    while (world.clock.now() < until) world.reactor.run_once(until - world.clock.now());
    CHECK_FALSE(accepting.done);
    for (int i = 0; i < 100 && !accepting.done; ++i) world.reactor.run_once(1s);
    CHECK(accepting.outcome == io::errc::timed_out);
}

TEST_CASE("a chain that is larger than the pipe comes through", "[tls][handshake]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    Pem pem = issue({"a.test", "DNS:a.test"});
    for (int i = 0; i < 40; ++i) pem.chain += issue({"intermediate", "", Wanted::Key::ec}).chain;
    World world{{}, {pem}};
    Accepting accepting{world, {.lowest = version, .highest = version}};
    const int size = 1;  // the kernel makes it its smallest
    ::setsockopt(accepting.stream().socket().fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    accepting.client().cut = 500;
    CHECK(world.until(
        accepting.client(), [&] { return accepting.done && accepting.client().done(); }, 2000));
    CHECK_FALSE(accepting.outcome);
    CHECK(accepting.client().raw_received > 10'000);
}

TEST_CASE("no TLS memory is taken before the first byte", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    for (int i = 0; i < 5; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK_FALSE(accepting.done);
    CHECK(accepting.stream().tls_version().empty());
    CHECK(accepting.stream().alpn().empty());
}

TEST_CASE("what is not a handshake gets the name of what it is", "[tls][handshake]") {
    struct Case {
        std::string bytes;
        io::error_code error;
    };
    const std::string short_hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
    const auto c = GENERATE_COPY(values<Case>({
        {"GET / HTTP/1.1\r\n\r\n", errc::plain_http},
        {"DELETE /x HTTP/1.1\r\n\r\n", errc::plain_http},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", errc::plain_http},
        {"G", errc::plain_http},
        {"", io::errc::eof},
        {"\x16\x03\x01", errc::truncated},
        {short_hello, errc::protocol},
        {"SSH-2.0-x\r\n", errc::plain_http},  // begins like a method; a 400 is no harm
        {"\x16\x03\x01\xff\xff garbage", errc::protocol},
        {std::string(100, '\0'), errc::protocol},
    }));
    INFO(c.bytes);
    World world;
    Accepting accepting{world};
    accepting.hears(c.bytes);
    REQUIRE(accepting.done);
    CHECK(accepting.outcome == c.error);
}

namespace {
io::Task<void> says(Stream& stream, std::string_view text) {
    co_await stream.write_all(text);
    stream.shutdown_write();
}
}  // namespace

TEST_CASE("a client that speaks HTTP to a TLS port can be answered in HTTP", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    accepting.hears("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(accepting.outcome == errc::plain_http);
    CHECK_FALSE(accepting.stream().is_tls());
    world.reactor.spawn(says(accepting.stream(), "HTTP/1.1 400 Bad Request\r\n\r\n"));
    accepting.client().pump();
    CHECK(accepting.client().raw_received == 28);
}

TEST_CASE("an endless handshake is cut off", "[tls][handshake]") {
    // A ClientHello that announces 100,000 bytes and brings them, in full records.
    World world;
    Accepting accepting{world};
    std::string bytes("\x16\x03\x01\x40\x00\x01\x01\x86\xa0\x03\x03", 11);
    bytes.append(16384 - 6, 'a');
    for (int i = 0; i < 6; ++i) {
        bytes.append("\x16\x03\x01\x40\x00", 5);
        bytes.append(16384, 'a');
    }
    accepting.hears(bytes);
    REQUIRE(accepting.done);
    CHECK(accepting.outcome == errc::too_large);
}

TEST_CASE("a client that does not like our certificate is understood", "[tls][handshake]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world;
    Accepting accepting{world, {.lowest = version, .highest = version}};
    SSL_set_verify(accepting.client().ssl(), SSL_VERIFY_PEER, nullptr);
    CHECK(world.until(
        accepting.client(), [&] { return accepting.done; }, 1000));
    CHECK(accepting.outcome == errc::certificate_refused);
}

TEST_CASE("a client that gives up says why", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    accepting.client().pump();
    world.reactor.run_once(io::Duration::zero());
    accepting.hears(std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7));  // handshake_failure
    CHECK(accepting.outcome == errc::alert);
}

TEST_CASE("a handshake ends when the socket is cancelled", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    accepting.stream().socket().cancel();
    for (int i = 0; i < 5; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK(accepting.outcome == io::errc::cancelled);
}

TEST_CASE("after a handshake that failed every read and write fails, and nothing crashes", "[tls][handshake]") {
    World world;
    Accepting accepting{world};
    accepting.hears("");
    REQUIRE(accepting.done);
    char buffer[8];
    io::Read read = accepting.stream().read_some(buffer);
    CHECK(read.await_ready());
    CHECK(read.await_resume().error() == io::errc::eof);
    io::Write write = accepting.stream().write_all(std::string_view("x"));
    CHECK(write.await_ready());
    CHECK(write.await_resume().has_error());
    accepting.stream().shutdown_write();
    CHECK_FALSE(accepting.stream().truncated());
}

TEST_CASE("many handshakes take turns: eight steps a turn, first come first served", "[tls][handshake]") {
    World world;
    constexpr std::size_t count = 50;
    std::vector<std::unique_ptr<Accepting>> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back(std::make_unique<Accepting>(world));
        all.back()->client().pump();  // the ClientHello is there
    }
    const auto answered = [&] {
        std::size_t sum = 0;
        for (const auto& one : all) {
            char byte;
            sum += ::recv(one->client().socket(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? 1 : 0;
        }
        return sum;
    };
    std::size_t before = answered();
    for (int turn = 0; turn < 20 && before < count; ++turn) {
        world.reactor.run_once(io::Duration::zero());
        const std::size_t now = answered();
        CHECK(now - before <= Windows::handshake_steps);
        CHECK(now > before);
        for (std::size_t i = 0; i < now; ++i) {
            char byte;
            CHECK(::recv(all[i]->client().socket(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
        }
        before = now;
    }
    CHECK(before == count);
    for (auto& one : all)
        CHECK(world.until(
            one->client(), [&] { return one->done; }, 1000));
}

TEST_CASE("OpenSSL's error queue is empty after every failure", "[tls][handshake]") {
    World world;
    for (const char* bytes : {"\x16\x03\x01", "nonsense", "\x16\x03\x01\xff\xff garbage", "GET "}) {
        Accepting accepting{world};
        accepting.hears(bytes);
        REQUIRE(accepting.done);
        CHECK(ERR_peek_error() == 0);
    }
}
