// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "errors.hpp"
#include "proxy/http1_exchange.hpp"
#include "proxy/http1_server.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;
using admin::Limit;

namespace {

std::shared_ptr<config::Config> plan() {
    auto config = std::make_shared<config::Config>();
    config::Listener listener;
    listener.name = "web";
    listener.timeouts = {.handshake = 5s,
                         .first_request = 10s,
                         .header = 8s,
                         .body = 20s,
                         .write = 20s,
                         .keepalive = 60s,
                         .tunnel_idle = 1h};
    listener.limits = {.request_line = 8192,
                       .header_size = 32768,
                       .headers = 100,
                       .requests_per_connection = 100,
                       .body_rate = 100,
                       .response_rate = 1000};
    config->listeners.push_back(listener);
    config::Route route;
    route.paths = {"/"};
    route.respond = config::Respond{200, std::string(8'000'000, 'x'), "text/plain"};
    config->routes = {route};
    return config;
}

/// One HTTP/1.1 connection over a socket pair; the loop, the client and the clock are moved by hand.
struct Served {
    Served() {
        lane.cells = &cells;
        lane.snapshot = SnapshotRef(make_snapshot(
            plan(), {registry, nullptr, [](const auto&) { return nullptr; }, [](const auto&) { return nullptr; }}));
        auto [ours, theirs] = io::socket_pair();
        far = std::move(theirs);
        near = std::move(ours);
    }
    ~Served() {
        far.reset();
        settle();
        lane.reactor.cancel_all();
        settle();
        CHECK(lane.reactor.spawned() == 0);
    }
    std::unique_ptr<Connection> connection() {
        return std::make_unique<Connection>(lane, lane.snapshot->listeners[0], std::move(near), io::Peer{},
                                            std::uint16_t{80});
    }
    void serve() {
        lane.reactor.spawn([](std::unique_ptr<Connection> connection) -> io::Task<void> {
            co_await serve_http1(*connection);
        }(connection()));
        settle();
    }
    void settle() {
        for (int turns = 0; turns < 50; ++turns) lane.reactor.run_once(0ns);
    }
    void pass(io::Duration time) {
        for (const io::TimePoint end = clock.now() + time; clock.now() < end;) {
            clock.advance(100ms);
            settle();
        }
    }
    void send(std::string_view bytes) {
        REQUIRE(::send(far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
        settle();
    }
    /// What the client gets now, at most so much of it.
    std::string receive(std::size_t most = 65536) {
        std::string got(most, '\0');
        const ssize_t size = ::recv(far.get(), got.data(), got.size(), MSG_DONTWAIT);
        got.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        settle();
        return got;
    }
    bool over() const { return lane.reactor.spawned() == 0; }

    io::Clock clock = io::Clock::manual();
    Lane lane{0, clock};
    admin::LaneCells cells;
    admin::Registry registry;
    io::UniqueFd near, far;
};

/// Reads a request with its body to the end; how that ended.
io::Task<void> take_body(std::unique_ptr<Connection> connection, io::error_code& end, std::size_t& size) {
    Http1Exchange exchange{*connection, {}};
    const auto head = co_await exchange.read_head();
    if (head != Http1Exchange::Head::complete) co_return;
    for (bool done = false; !done && !end;) {
        const auto piece = co_await exchange.read_body();
        if (piece) size += piece->data.size();
        if (piece) done = piece->done;
        if (!piece) end = piece.error();
    }
}

struct Upload : Served {
    explicit Upload(std::string_view length = "100000") {
        lane.reactor.spawn(take_body(connection(), end, size));
        send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::string(length) + "\r\n\r\n");
    }
    io::error_code end;
    std::size_t size = 0;
};

}  // namespace

TEST_CASE("a body that comes too slowly is given up after ten seconds", "[proxy][slow]") {
    Upload upload;
    // 50 bytes a second where 100 are wanted: each byte buys 10 ms, so 10 s of grace last 20 s.
    for (int tenth = 0; tenth < 190; ++tenth) {
        upload.send("12345");
        upload.pass(100ms);
        REQUIRE_FALSE(upload.end);
    }
    for (int tenth = 0; tenth < 20 && !upload.end; ++tenth) {
        upload.send("12345");
        upload.pass(100ms);
    }
    CHECK(upload.end == io::errc::timed_out);
    CHECK(upload.cells.hits(Limit::body_rate) == 1);
    CHECK(upload.cells.hits(Limit::body) == 0);
}

TEST_CASE("a body at the least rate comes through, however long it takes", "[proxy][slow]") {
    Upload upload("12000");
    for (int tenth = 0; tenth < 1200; ++tenth) {
        upload.send("1234567890");
        upload.pass(100ms);
    }
    CHECK_FALSE(upload.end);
    CHECK(upload.size == 12000);
    CHECK(upload.over());
}

TEST_CASE("a gap in a body has a limit of its own", "[proxy][slow]") {
    Upload upload;
    upload.send(std::string(50'000, 'x'));  // buys thirty seconds
    upload.pass(19s);
    REQUIRE_FALSE(upload.end);
    upload.pass(2s);
    CHECK(upload.end == io::errc::timed_out);
    CHECK(upload.cells.hits(Limit::body) == 1);
    CHECK(upload.cells.hits(Limit::body_rate) == 0);
}

TEST_CASE("a head has its time in all, not from byte to byte", "[proxy][slow]") {
    Served served;
    served.serve();
    for (int second = 0; second < 7; ++second) {
        served.send("G");
        served.pass(1s);
    }
    REQUIRE_FALSE(served.over());
    served.pass(2s);
    CHECK(served.receive().find("408 Request Timeout") != std::string::npos);
    CHECK(served.cells.hits(Limit::header) == 1);
}

TEST_CASE("who says nothing is let go without a word", "[proxy][slow]") {
    Served served;
    served.serve();
    served.pass(9s);
    REQUIRE_FALSE(served.over());
    served.pass(2s);
    CHECK(served.over());
    CHECK(served.receive().empty());
    CHECK(served.cells.hits(Limit::first_request) == 1);
}

TEST_CASE("a reader that takes less than the least rate is cut", "[proxy][slow]") {
    Served served;
    // The kernel's blocks become so small that one of them every 12 s is less than 1000 bytes a second, and no stall.
    const int small = 8192;
    ::setsockopt(served.near.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    served.serve();
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    int steps = 0;
    for (; steps < 60 && !served.over(); ++steps) {
        served.receive(8128);
        served.pass(12s);
    }
    CHECK(served.over());
    CHECK(steps >= 3);
    CHECK(served.cells.hits(Limit::response_rate) == 1);
    CHECK(served.cells.hits(Limit::write) == 0);
    CHECK(errors_of(served.cells, served.registry, "response_rate") == 1);
    CHECK(errors_of(served.cells, served.registry, "client_gone") == 0);
}

TEST_CASE("a reader that takes nothing is cut when the stall is over", "[proxy][slow]") {
    Served served;
    served.serve();
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    served.pass(19s);
    REQUIRE_FALSE(served.over());
    served.pass(3s);
    CHECK(served.over());
    CHECK(served.cells.hits(Limit::write) == 1);
    CHECK(served.cells.hits(Limit::response_rate) == 0);
    CHECK(errors_of(served.cells, served.registry, "write_timeout") == 1);
}

TEST_CASE("a slow reader above the least rate gets all of it", "[proxy][slow]") {
    Served served;
    served.serve();
    served.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::size_t size = 0;
    for (int step = 0; step < 1000 && size < 8'000'000; ++step) {
        std::string got = served.receive(100'000);
        size += got.size();
        served.pass(1s);
    }
    CHECK(size > 8'000'000);
    CHECK(served.cells.hits(Limit::response_rate) == 0);
}

TEST_CASE("the connection that is idle for longest goes first", "[proxy][slow]") {
    Served first, second;  // two worlds, to show that lists are a lane's own
    first.serve();
    second.serve();
    CHECK(first.lane.evict(Limit::max_connections));
    first.settle();
    CHECK(first.over());
    CHECK_FALSE(second.over());
    CHECK_FALSE(first.lane.evict(Limit::max_connections));
    CHECK(first.cells.hits(Limit::max_connections) == 1);
    second.pass(3s);
    second.lane.evict_older(5s, 9, Limit::memory_saving);
    second.settle();
    CHECK_FALSE(second.over());
    second.lane.evict_older(2s, 9, Limit::memory_saving);
    second.settle();
    CHECK(second.over());
}

TEST_CASE("while memory is short answers end their connections, then requests are refused, then the largest are cut",
          "[proxy][slow]") {
    Served served;
    served.serve();
    served.lane.judge(Pressure::refusing, false);
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string answer = served.receive();
    CHECK(answer.find("503 Service Unavailable") != std::string::npos);
    CHECK(answer.find("Retry-After: ") != std::string::npos);
    CHECK(answer.find("Connection: close") != std::string::npos);
    CHECK(served.cells.hits(Limit::memory_refusing) == 1);

    Served reader;
    reader.serve();
    reader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE_FALSE(reader.over());
    REQUIRE(reader.lane.connections != nullptr);
    CHECK(reader.lane.connections->held() > 16'000);
    reader.lane.cut(1);
    reader.settle();
    CHECK(reader.over());
    CHECK(reader.cells.hits(Limit::memory_cutting) == 1);
    CHECK(errors_of(reader.cells, reader.registry, "memory_cutting") == 1);
}

TEST_CASE("an overloaded loop refuses new requests", "[proxy][slow]") {
    Served served;
    served.serve();
    served.lane.judge(Pressure::none, true);
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(served.receive().find("503 Service Unavailable") != std::string::npos);
    served.lane.judge(Pressure::none, false);
    served.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(served.receive().find("HTTP/1.1 200 OK") == 0);
    CHECK(served.cells.hits(Limit::loop_lag) == 1);
}
