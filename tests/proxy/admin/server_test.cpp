// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/server.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "proxy/admin/metrics.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

io::UniqueFd listening_tcp(sockaddr_in& address) {
    io::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd.get(), 128) == 0);
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return fd;
}

/// A connection that reads until the server ends it, or `until` appears; five seconds at most.
class Client {
 public:
    explicit Client(const sockaddr_in& address) {
        const timeval longest{5, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
        REQUIRE(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    void send(std::string_view bytes) const { ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    std::string receive(std::string_view until = {}) const {
        std::string text;
        char piece[4096];
        while (until.empty() || text.find(until) == std::string::npos) {
            const ssize_t got = ::recv(fd_.get(), piece, sizeof piece, 0);
            if (got <= 0) break;
            text.append(piece, static_cast<std::size_t>(got));
        }
        return text;
    }

 private:
    io::UniqueFd fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

/// A server on a thread of its own, as the control thread would run it.
class House {
 public:
    explicit House(Answers answers, ServerLimits limits = {}) : server_(context_, std::move(answers), limits) {
        server_.listen(listening_tcp(address));
        thread_ = std::thread([this] { context_.run(); });
    }
    template <class Work>
    auto on_thread(Work work) {
        std::packaged_task<decltype(work())()> task(std::move(work));
        auto result = task.get_future();
        boost::asio::post(context_, [&task] { task(); });
        return result.get();
    }
    ~House() {
        on_thread([this] { server_.stop(); });
        thread_.join();
    }
    std::size_t connections() {
        return on_thread([this] { return server_.connections(); });
    }
    std::string get(std::string_view target, std::string_view host = "127.0.0.1") const {
        return ask("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                   "\r\nConnection: close\r\n\r\n");
    }
    std::string ask(std::string_view bytes) const {
        const Client client(address);
        client.send(bytes);
        return client.receive();
    }

    sockaddr_in address{};

 private:
    boost::asio::io_context context_{1};
    Server server_;
    std::thread thread_;
};

Answers fine() {
    Answers answers;
    answers.metrics = [] { return std::string("a 1\n"); };
    answers.live = [] { return true; };
    answers.readiness = [] { return Readiness{true, {"ok   all"}}; };
    return answers;
}

bool starts(const std::string& text, std::string_view with) {
    return text.starts_with(with);
}

}  // namespace

TEST_CASE("the metrics listener answers what it is there for, and nothing else", "[admin][server]") {
    const House house(fine());
    CHECK(starts(house.get("/metrics"), "HTTP/1.1 200 OK\r\n"));
    CHECK(house.get("/metrics").find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") !=
          std::string::npos);
    CHECK(house.get("/metrics").ends_with("\r\n\r\na 1\n"));
    CHECK(house.get("/metrics?x=1").ends_with("\r\n\r\na 1\n"));
    CHECK(house.get("/livez").ends_with("\r\n\r\nlive\n"));
    CHECK(house.get("/readyz").ends_with("\r\n\r\nready\n"));
    CHECK(house.get("/readyz?verbose").ends_with("\r\n\r\nok   all\nready\n"));
    for (const auto* path :
         {"/", "/metrics/", "/admin", "/api/v1/status", "//metrics", "*", "http://127.0.0.1/metrics"}) {
        CHECK(starts(house.get(path), "HTTP/1.1 404 Not Found\r\n"));
    }
}

TEST_CASE("HEAD has the head alone, every method that could change something is refused", "[admin][server]") {
    const House house(fine());
    const std::string head = house.ask("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(starts(head, "HTTP/1.1 200 OK\r\n"));
    CHECK(head.find("Content-Length: 4\r\n") != std::string::npos);
    CHECK(head.ends_with("\r\n\r\n"));
    for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"}) {
        const std::string answer =
            house.ask(method + " /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        CHECK(starts(answer, "HTTP/1.1 405 Method Not Allowed\r\n"));
        CHECK(answer.find("Allow: GET, HEAD\r\n") != std::string::npos);
    }
}

TEST_CASE("a page whose name was made to resolve to us reads nothing", "[admin][server]") {
    const House house(fine());
    CHECK(starts(house.get("/metrics", "evil.example"), "HTTP/1.1 403 Forbidden\r\n"));
    CHECK(house.get("/metrics", "evil.example").find("a 1") == std::string::npos);
    CHECK(starts(house.get("/metrics", "localhost:9900"), "HTTP/1.1 200 OK\r\n"));
    CHECK(starts(house.ask("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n"));
    CHECK(starts(house.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
                 "HTTP/1.1 400 Bad Request\r\n"));
    CHECK(starts(house.ask("GET /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("failures are told by their status", "[admin][server]") {
    Answers answers = fine();
    answers.metrics = []() -> std::string { throw std::runtime_error("secret"); };
    answers.live = [] { return false; };
    answers.readiness = [] { return Readiness{false, {"ok   one", "fail two"}}; };
    answers.status = [] { return std::string("{}"); };
    const House house(std::move(answers));
    CHECK(starts(house.get("/metrics"), "HTTP/1.1 500 Internal Server Error\r\n"));
    CHECK(house.get("/metrics").find("secret") == std::string::npos);
    CHECK(starts(house.get("/livez"), "HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(starts(house.get("/readyz"), "HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(house.get("/readyz").ends_with("\r\n\r\nfail two\n"));
    CHECK(house.get("/readyz?verbose").ends_with("\r\n\r\nok   one\nfail two\n"));
    CHECK(house.get("/api/v1/status").ends_with("\r\n\r\n{}"));
}

TEST_CASE("connections are kept, also with requests one behind the other", "[admin][server]") {
    const House house(fine());
    const Client client(house.address);
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(client.receive("live\n").ends_with("\r\n\r\nlive\n"));
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(client.receive("a 1\n").find("live\n") != std::string::npos);
}

TEST_CASE("what is no request, too large, or has a body ends the connection", "[admin][server]") {
    const House house(fine());
    CHECK(starts(house.ask("\x16\x03\x01\x02\x00\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n"));
    CHECK(starts(house.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"),
                 "HTTP/1.1 431 "));
    const std::string smuggled = house.ask(
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(smuggled.find("live\n") != std::string::npos);
    CHECK(smuggled.find("a 1") == std::string::npos);
}

TEST_CASE("who asks nothing for longest makes room for who comes when all places are taken", "[admin][server]") {
    ServerLimits limits;
    limits.max_connections = 2;
    limits.longest_wait = 150ms;
    House house(fine(), limits);
    {
        const Client one(house.address), two(house.address);
        one.send("GET /live");
        two.send("G");
        while (house.connections() < 2) std::this_thread::yield();
        const Client three(house.address);
        three.send("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        CHECK(three.receive().ends_with("live\n"));
        CHECK(one.receive().empty());
        CHECK(two.receive().empty());  // it is slow
    }
    while (house.connections() > 0) std::this_thread::yield();
    CHECK(house.get("/livez").ends_with("live\n"));
}

TEST_CASE("a stopped server lets go of everything", "[admin][server]") {
    sockaddr_in address{};
    boost::asio::io_context context{1};
    auto server = std::make_unique<Server>(context, fine());
    server->listen(listening_tcp(address));
    const Client client(address);
    client.send("GET /li");
    while (server->connections() == 0) context.run_one();
    server->stop();
    server.reset();
    context.run();
    CHECK(client.receive().empty());
}

TEST_CASE("a server whose loop ends before it leaves nothing behind", "[admin][server]") {
    sockaddr_in address{};
    auto context = std::make_unique<boost::asio::io_context>(1);
    auto server = std::make_unique<Server>(*context, fine());
    server->listen(listening_tcp(address));
    const Client client(address);
    client.send("GET /li");
    while (server->connections() == 0) context->run_one();
    server.reset();
    context.reset();
    CHECK(client.receive().empty());
}

TEST_CASE("a unix socket serves as well, a socket that does not listen is refused", "[admin][server]") {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;  // abstract, named by the kernel
    io::UniqueFd listening{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    socklen_t size = sizeof(sa_family_t);
    REQUIRE(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    size = sizeof address;
    REQUIRE(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    boost::asio::io_context context{1};
    Server server(context, fine());
    CHECK_THROWS(server.listen(io::UniqueFd{::dup(listening.get())}));
    REQUIRE(::listen(listening.get(), 8) == 0);
    server.listen(std::move(listening));
    const io::UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    const std::string_view request = "GET /livez HTTP/1.0\r\n\r\n";
    REQUIRE(::send(client.get(), request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    char text[1024] = {};
    ssize_t got = 0;
    while (got <= 0) {
        context.run_one();
        got = ::recv(client.get(), text, sizeof text - 1, MSG_DONTWAIT);
    }
    CHECK(std::string(text).ends_with("\r\n\r\nlive\n"));
}

TEST_CASE("a scrape through the server is the metrics", "[admin][server]") {
    Registry registry;
    const auto lane = std::make_unique<LaneCells>();
    ExchangeRecord record;
    record.route_index = registry.routes.index_of("api");
    record.status = 200;
    record.method = http::Method::get;
    lane->count(record);
    MetricSources sources;
    sources.registry = &registry;
    sources.lanes = {lane.get()};
    const Metrics metrics(std::move(sources));
    Answers answers = fine();
    answers.metrics = [&] { return metrics.scrape(); };
    const House house(std::move(answers));
    CHECK(
        house.get("/metrics")
            .find(
                "edgeproxy_http_requests_total{route=\"api\",method=\"GET\",code=\"200\",protocol=\"http/1.1\"} 1\n") !=
        std::string::npos);
}
