// SPDX-License-Identifier: Apache-2.0
#include "upstream/lease.hpp"

#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>

#include "tests/upstream/workshop.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

/// The far end of one connection, in the test's hands.
struct Peer {
    io::UniqueFd fd;
    void send(const char* text) { REQUIRE(::send(fd.get(), text, std::strlen(text), 0) > 0); }
    /// Our side closed the connection.
    bool hung_up() {
        char byte;
        return ::recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 0;
    }
};

struct Idle : Workshop {
    EndpointCells cells;
    io::Reactor& reactor = reactors.front();
    IdleConnections connections{reactor};
    config::Keepalive keepalive{.max_idle = 2, .idle_timeout = 4s};
    std::deque<Peer> peers;

    std::unique_ptr<UpstreamConnection> connect() {
        auto [ours, theirs] = io::socket_pair();
        peers.push_back({std::move(theirs)});
        auto connection =
            std::make_unique<UpstreamConnection>(std::make_unique<io::Socket>(reactor, std::move(ours)), cells);
        settle();
        return connection;
    }
    void give(std::unique_ptr<UpstreamConnection> connection) { connections.give(std::move(connection), keepalive); }
    /// Time passes for the reactor only; events of sockets are looked at first.
    void wait(io::Duration time) {
        settle();
        for (; time > 0ns; time -= 10ms) {
            clock.advance(10ms);
            settle();
        }
    }
};

io::Task<void> read_all(UpstreamConnection& connection, std::span<char> into) {
    for (std::size_t got = 0; got < into.size();) {
        const auto piece = co_await connection.stream().read_some(into.subspan(got));
        if (!piece) co_return;
        got += *piece;
    }
}

io::Task<void> read_once(UpstreamConnection& connection, std::span<char> into) {
    const auto piece = co_await connection.stream().read_some(into);
    CHECK(piece);
}

}  // namespace

TEST_CASE("an idle connection is taken again, the last one first", "[upstream][lease]") {
    Idle idle;
    auto a = idle.connect(), b = idle.connect();
    const auto *first = a.get(), *second = b.get();
    CHECK_FALSE(a->reused());
    idle.give(std::move(a)), idle.give(std::move(b));
    CHECK(idle.connections.size() == 2);
    auto taken = idle.connections.take();
    CHECK(taken.get() == second);
    CHECK(taken->reused());
    CHECK(idle.connections.take().get() == first);
    CHECK(idle.connections.take() == nullptr);
    CHECK(idle.cells.connects.value() == 2);
}

TEST_CASE("beyond max_idle the oldest goes when nobody has wanted it for a second", "[upstream][lease]") {
    Idle idle;
    auto a = idle.connect(), b = idle.connect(), c = idle.connect();
    idle.give(std::move(a)), idle.give(std::move(b)), idle.give(std::move(c));
    idle.wait(900ms);
    CHECK(idle.connections.size() == 3);
    idle.wait(300ms);
    CHECK(idle.connections.size() == 2);
    CHECK(idle.peers[0].hung_up());
    CHECK_FALSE(idle.peers[1].hung_up());
    CHECK(idle.cells.connections_closed.value() == 1);
    idle.wait(2500ms);
    CHECK(idle.connections.size() == 2);  // the others have their time
    idle.wait(600ms);
    CHECK(idle.connections.size() == 0);
}

TEST_CASE("a load that comes in waves beyond max_idle connects once", "[upstream][lease]") {
    Idle idle;
    std::vector<std::unique_ptr<UpstreamConnection>> wave;
    for (int i = 0; i < 10; ++i) wave.push_back(idle.connect());
    for (int round = 0; round < 30; ++round) {
        for (auto& connection : wave) idle.give(std::move(connection));
        idle.wait(100ms);
        for (auto& connection : wave) connection = idle.connections.take();
        REQUIRE(wave.back());
    }
    CHECK(idle.cells.connections_closed.value() == 0);
}

TEST_CASE("even a burst keeps no more than a bound", "[upstream][lease]") {
    Idle idle;
    for (std::uint32_t i = 0; i < IdleConnections::most_surplus + 4; ++i) idle.give(idle.connect());
    CHECK(idle.connections.size() == IdleConnections::most_surplus + 2);
    CHECK(idle.peers[1].hung_up());
    CHECK_FALSE(idle.peers[2].hung_up());
}

TEST_CASE("an idle connection that is closed or speaks is closed at once", "[upstream][lease]") {
    Idle idle;
    auto a = idle.connect(), b = idle.connect();
    idle.give(std::move(a)), idle.give(std::move(b));

    SECTION("closed by the endpoint") {
        idle.peers[0].fd.reset();
    }
    SECTION("an answer that nobody asked for") {
        idle.peers[0].send("HTTP/1.1 408 Request Timeout\r\n\r\n");
    }
    SECTION("the sending side only") {
        ::shutdown(idle.peers[0].fd.get(), SHUT_WR);
    }
    idle.settle();
    CHECK(idle.connections.size() == 1);
    auto left = idle.connections.take();
    REQUIRE(left);
    idle.peers[1].send("x");
    idle.settle();
    CHECK(left->socket().readable());  // in use: not the list's business any more
}

TEST_CASE("a connection with something unread is not kept", "[upstream][lease]") {
    Idle idle;
    auto connection = idle.connect();
    std::array<char, 4> body;

    SECTION("a read filled to the brim, and nothing more: kept") {
        idle.peers[0].send("body");
        idle.reactor.spawn(read_all(*connection, body));
        idle.settle();
        REQUIRE(connection->socket().readable());  // perhaps more, for all the socket knows
        idle.give(std::move(connection));
        CHECK(idle.connections.size() == 1);
        CHECK_FALSE(idle.connections.take()->socket().readable());
    }
    SECTION("a byte too much") {
        idle.peers[0].send("body!");
        idle.reactor.spawn(read_all(*connection, body));
        idle.settle();
        idle.give(std::move(connection));
        CHECK(idle.connections.size() == 0);
    }
    SECTION("the end right behind the answer") {
        idle.peers[0].send("body");
        idle.peers[0].fd.reset();
        idle.reactor.spawn(read_all(*connection, body));
        idle.settle();
        idle.give(std::move(connection));
        CHECK(idle.connections.size() == 0);
    }
    SECTION("cancelled") {
        connection->socket().cancel();
        idle.give(std::move(connection));
        CHECK(idle.connections.size() == 0);
    }
}

TEST_CASE("what comes in the turn in which a connection became idle is no answer to the next request",
          "[upstream][lease]") {
    Idle idle;
    auto other = idle.connect(), connection = idle.connect();
    const auto* const clean = other.get();
    const auto* const same = connection.get();
    std::array<char, 8> answer;
    bool expect_same = false;
    idle.peers[1].send("answer");
    idle.reactor.spawn(read_once(*connection, answer));  // six of eight: the socket is known to be empty now
    idle.settle();
    REQUIRE_FALSE(connection->socket().readable());

    SECTION("nothing comes") {
        expect_same = true;
    }
    SECTION("an answer too many") {
        idle.peers[1].send("HTTP/1.1 200 OK\r\n\r\n");
    }
    SECTION("the end") {
        idle.peers[1].fd.reset();
    }
    SECTION("half of the end") {
        ::shutdown(idle.peers[1].fd.get(), SHUT_WR);
    }
    idle.give(std::move(other)), idle.give(std::move(connection));
    CHECK(idle.connections.size() == 2);  // nobody has looked yet
    const auto taken = idle.connections.take();
    CHECK(taken.get() == (expect_same ? same : clean));
    CHECK(idle.cells.connections_closed.value() == (expect_same ? 0 : 1));
}

TEST_CASE("connections of an earlier turn are taken before those of this one, the last one first",
          "[upstream][lease]") {
    Idle idle;
    std::vector<std::unique_ptr<UpstreamConnection>> all;
    for (int i = 0; i < 4; ++i) all.push_back(idle.connect());
    const auto *a = all[0].get(), *b = all[1].get(), *c = all[2].get(), *d = all[3].get();
    idle.keepalive.max_idle = 4;
    idle.give(std::move(all[0]));
    idle.wait(10ms);
    idle.give(std::move(all[1]));
    idle.wait(10ms);
    idle.give(std::move(all[2])), idle.give(std::move(all[3]));
    std::vector<const UpstreamConnection*> order;
    SECTION("in this turn") {
        for (auto& taken : all) order.push_back((taken = idle.connections.take()).get());
        CHECK(order == std::vector<const UpstreamConnection*>{b, a, d, c});
    }
    SECTION("in this turn, by a careful request") {
        for (auto& taken : all) order.push_back((taken = idle.connections.take(15ms)).get());
        CHECK(order == std::vector<const UpstreamConnection*>{b, d, c, nullptr});
    }
    SECTION("in a later one") {
        idle.wait(10ms);
        for (auto& taken : all) order.push_back((taken = idle.connections.take()).get());
        CHECK(order == std::vector<const UpstreamConnection*>{d, c, b, a});
    }
}

namespace {

/// So many descriptors can be had.
bool may_open(rlim_t descriptors) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= descriptors) return true;
    limit.rlim_cur = std::min(descriptors, limit.rlim_max);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == descriptors;
}

/// Takes an idle connection when somebody else speaks, as the request of a client does.
io::Task<void> take_when_spoken_to(io::Socket& client, IdleConnections& from, bool& asked,
                                   std::unique_ptr<UpstreamConnection>& taken) {
    const auto readable = co_await client.wait_readable();
    static_cast<void>(readable);
    taken = from.take();
    asked = true;
}

}  // namespace

TEST_CASE("what comes beside the next request, in one batch of events, is no answer to it", "[upstream][lease]") {
    // Many clients, so that the batch is whole or cut off; the request is the first event of it.
    const unsigned clients = GENERATE(1u, io::Reactor::max_events);
    if (!may_open(2 * clients + 64)) return;
    const std::string late = GENERATE("nothing", "an answer", "the end");
    Idle idle;
    std::vector<std::unique_ptr<io::Socket>> sockets;
    std::vector<io::UniqueFd> far;
    for (unsigned i = 0; i < clients; ++i) {
        auto [ours, theirs] = io::socket_pair();
        sockets.push_back(std::make_unique<io::Socket>(idle.reactor, std::move(ours)));
        far.push_back(std::move(theirs));
    }
    idle.give(idle.connect());
    idle.settle();
    bool asked = false;
    std::unique_ptr<UpstreamConnection> taken;
    idle.reactor.spawn(take_when_spoken_to(*sockets.front(), idle.connections, asked, taken));
    for (const io::UniqueFd& fd : far) REQUIRE(::send(fd.get(), "x", 1, 0) == 1);
    if (late == "an answer") idle.peers[0].send("HTTP/1.1 200 OK\r\n\r\n");
    if (late == "the end") idle.peers[0].fd.reset();
    idle.reactor.run_once(0ns);
    REQUIRE(asked);
    CHECK((taken != nullptr) == (late == "nothing"));
    CHECK(idle.reactor.saw_all() == (clients < io::Reactor::max_events));
    idle.settle();
    CHECK(idle.connections.size() == 0);
}

TEST_CASE("idle connections go after idle_timeout", "[upstream][lease]") {
    Idle idle;
    auto a = idle.connect(), b = idle.connect();
    idle.give(std::move(a));
    idle.wait(2s);
    idle.give(std::move(b));
    idle.wait(1980ms);
    CHECK(idle.connections.size() == 2);
    idle.wait(40ms);
    CHECK(idle.connections.size() == 1);
    CHECK(idle.peers[0].hung_up());
    idle.wait(1950ms);
    CHECK(idle.connections.size() == 1);
    idle.wait(60ms);
    CHECK(idle.connections.size() == 0);

    auto c = idle.connect();
    idle.give(std::move(c));
    idle.wait(3900ms);
    idle.give(idle.connections.take());  // used again: counts anew
    idle.wait(3900ms);
    CHECK(idle.connections.size() == 1);
    idle.wait(200ms);
    CHECK(idle.connections.size() == 0);
}

TEST_CASE("a careful request takes only a connection that was used just now", "[upstream][lease]") {
    Idle idle;
    idle.give(idle.connect());
    idle.wait(250ms);
    CHECK(idle.connections.take(240ms) == nullptr);
    CHECK(idle.connections.size() == 1);
    CHECK(idle.connections.take(250ms) != nullptr);
}

TEST_CASE("no keep-alive, a used-up connection, an endpoint that leaves: nothing is kept", "[upstream][lease]") {
    Idle idle;
    SECTION("switched off") {
        idle.keepalive.max_idle = 0;
        idle.give(idle.connect());
    }
    SECTION("no time") {
        idle.keepalive.idle_timeout = 0s;
        idle.give(idle.connect());
    }
    SECTION("after a thousand requests") {
        idle.give(idle.connect());
        for (unsigned served = 1; served < UpstreamConnection::max_requests; ++served) {
            REQUIRE(idle.connections.size() == 1);
            idle.give(idle.connections.take());
        }
    }
    SECTION("closed with what it has, and for good") {
        idle.give(idle.connect());
        auto busy = idle.connect();
        idle.connections.close();
        CHECK(idle.peers[0].hung_up());
        idle.give(std::move(busy));
        CHECK(idle.peers[1].hung_up());
    }
    CHECK(idle.connections.size() == 0);
    CHECK(idle.peers[0].hung_up());
}

namespace {

/// A listening TCP socket on loopback; `port` 0 of nobody when closed.
struct Listener {
    io::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::uint16_t port = 0;

    Listener() {
        auto address = io::SocketAddress::from_literal({config::Address::Kind::tcp, "127.0.0.1", 0});
        REQUIRE(::bind(fd.get(), &address.any, address.size) == 0);
        REQUIRE(::listen(fd.get(), 8) == 0);
        io::SocketAddress bound;
        bound.size = sizeof bound.storage;
        REQUIRE(::getsockname(fd.get(), &bound.any, &bound.size) == 0);
        port = bound.peer().port;
    }
};

io::Task<void> use(Admission& admission, tls::Windows& windows, std::string& said) {
    auto connection = admission.take_idle();
    if (connection == nullptr) {
        auto made = co_await admission.connect(windows, windows.reactor().now() + 1s);
        if (!made) {
            said = made.error().message();
            co_return;
        }
        connection = std::move(*made);
    }
    said = connection->reused() ? "reused" : "fresh";
    admission.give_back(std::move(connection));
}

}  // namespace

TEST_CASE("an exchange connects, the next one reuses the connection, and a leaving endpoint closes it",
          "[upstream][lease]") {
    Listener listener;
    config::Pool pool = managed();
    pool.managed = false;
    pool.endpoints = {external("a", "127.0.0.1", listener.port)};
    Workshop shop{pool};
    Requests requests{shop};
    tls::Windows windows{shop.reactors[0]};
    const auto use_once = [&](Request& request) {
        std::string said;
        shop.reactors[0].spawn(use(**request.outcome, windows, said));
        for (int i = 0; i < 1000 && said.empty(); ++i) shop.settle();
        return said;
    };
    Request& request = requests.ask();
    CHECK(use_once(request) == "fresh");
    CHECK(shop.status("a")->idle_connections == 1);
    CHECK(use_once(request) == "reused");
    const auto series = shop.roster().series();
    CHECK(series[0].cells[0].connects.value() == 1);
    CHECK(series[0].cells[0].reused.value() == 1);

    shop.pools->close_others({});  // the endpoint leaves
    shop.settle();
    CHECK(shop.status("a")->idle_connections == 0);
    CHECK(use_once(request) == "fresh");  // what is under way may still connect
    CHECK(shop.status("a")->idle_connections == 0);
    request.release();
    shop.pass(20ms);
    CHECK(shop.state("a") == "none");
}

TEST_CASE("a connect that fails says how", "[upstream][lease]") {
    config::Pool pool = managed();
    pool.managed = false;
    std::uint16_t free_port = 0;
    {
        Listener closed;
        free_port = closed.port;
    }
    const auto [endpoint, expected] = GENERATE_COPY(table<config::Endpoint, std::string>(
        {{external("a", "127.0.0.1", free_port), "connect_refused"},
         {{.name = "a", .address = {config::Address::Kind::unix_path, "/nonexistent/socket", 0}, .tls = {}},
          "connect_refused"}}));
    pool.endpoints = {endpoint};
    Workshop shop{pool};
    Requests requests{shop};
    Request& request = requests.ask();
    tls::Windows windows{shop.reactors[0]};
    std::string said;
    shop.reactors[0].spawn(use(**request.outcome, windows, said));
    for (int i = 0; i < 1000 && said.empty(); ++i) shop.settle();
    CHECK(said == expected);
}
