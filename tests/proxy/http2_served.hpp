// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "proxy/http2_server.hpp"
#include "tests/proxy/http/http2_peer.hpp"

/// A connection that is served over a socket pair; the loop, the client and the clock are moved by hand.
namespace edgeproxy::proxy::test {

using namespace std::chrono_literals;
using http::test::frame;
using http::test::Got;
using http::test::head;

inline const std::string large_body(200'000, 'x');

inline config::Route fixed(std::string path, std::string body) {
    config::Route route;
    route.name = path;
    route.paths = {std::move(path)};
    route.respond = config::Respond{200, std::move(body), "text/plain"};
    return route;
}

inline std::shared_ptr<config::Config> plan() {
    auto config = std::make_shared<config::Config>();
    config::Listener listener;
    listener.name = "web";
    listener.http2_max_streams = 100;
    listener.http2_glitches = 200;
    listener.http2_glitch_rate = 20;
    listener.http2_window = 64 * 1024;
    listener.http2_connection_window = 1024 * 1024;
    listener.timeouts = {.handshake = 5s,
                         .first_request = 10s,
                         .header = 8s,
                         .body = 30s,
                         .write = 20s,
                         .keepalive = 60s,
                         .tunnel_idle = 1h,
                         .connection_age = 1h,
                         .settings_ack = 10s,
                         .ping_interval = 60s,
                         .ping = 10s};
    listener.limits = {.request_line = 8192,
                       .header_size = 32768,
                       .headers = 100,
                       .requests_per_connection = 10'000,
                       .body_rate = 240,
                       .response_rate = 1024};
    config->listeners.push_back(listener);
    config->routes = {fixed("/small", "hello"), fixed("/large", large_body)};
    return config;
}

/// One connection served over a socket pair: the loop, the client and the clock are moved by hand.
struct Served {
    /// `speaks` false: the client says only what `raw` is given, and acknowledges nothing.
    explicit Served(std::shared_ptr<config::Config> config = plan(), bool speaks = true)
        : by_hand(!speaks), talks(speaks) {
        lane.cells = &cells;
        lane.snapshot =
            SnapshotRef(make_snapshot(std::move(config), {registry, nullptr, [](const auto&) { return nullptr; },
                                                          [](const auto&) { return nullptr; }}));
        auto [ours, theirs] = io::socket_pair();
        far = std::move(theirs);
        lane.reactor.spawn(serve(std::make_unique<Connection>(lane, lane.snapshot->listeners[0], std::move(ours),
                                                              io::Peer{}, std::uint16_t{443})));
        settle();
    }
    ~Served() {
        far.reset();
        settle();
        lane.reactor.cancel_all();
        settle();
        CHECK(lane.reactor.spawned() == 0);
    }

    static io::Task<void> serve(std::unique_ptr<Connection> connection) { co_await serve_http2(*connection); }

    /// Until nobody has anything to do at this moment.
    void settle() {
        for (int turns = 0; turns < 200; ++turns) {
            const bool talked = far && pump();
            const bool worked = lane.reactor.run_once(0ns);
            if (!talked && !worked && turns > 3) return;
        }
    }
    void pass(io::Duration time) {
        // In steps: a deadline that passes may set the next one.
        for (io::Duration step = time / 10; time > 0ns; time -= step) {
            clock.advance(step);
            settle();
        }
    }
    std::int32_t get(const std::string& path) {
        const std::int32_t id = client.request(head(path));
        settle();
        return id;
    }
    void raw(std::string_view bytes) {
        client.output();
        REQUIRE(::send(far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
        settle();
    }
    Got& got(std::int32_t id) { return client.streams[id]; }
    /// The first frame of this type and stream in `heard`, its payload; null if there is none.
    std::optional<std::string> find(unsigned type, std::uint32_t id) const {
        const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(heard[at]); };
        for (std::size_t at = 0; at + 9 <= heard.size();) {
            const std::size_t size =
                static_cast<std::size_t>(byte(at)) << 16 | static_cast<std::size_t>(byte(at + 1)) << 8 | byte(at + 2);
            const std::uint32_t stream = static_cast<std::uint32_t>(byte(at + 7)) << 8 | byte(at + 8);
            if (byte(at + 3) == type && stream == id) return heard.substr(at + 9, size);
            at += 9 + size;
        }
        return {};
    }
    /// The code of the GOAWAY in `heard`, or -1.
    int goaway() const {
        const auto told = find(7, 0);
        return told ? told->at(7) : -1;
    }
    /// Our side of the connection is closed.
    bool closed() const { return ended; }

    io::Clock clock = io::Clock::manual();
    admin::LaneCells cells;
    admin::Registry registry;
    Lane lane{0, clock};
    io::UniqueFd far;
    http::test::Client client;
    bool ended = false;
    std::string heard;  ///< what came, if `raw` is all that the client says
    const bool by_hand;
    bool talks;         ///< the client says what its library wants to say
    bool reads = true;  ///< it takes what comes

 private:
    bool pump() {
        const std::string up = talks ? client.output() : std::string();
        if (!up.empty() && ::send(far.get(), up.data(), up.size(), MSG_NOSIGNAL) < 0) ended = true;
        if (!reads) return !up.empty();
        std::string down(256 * 1024, '\0');
        const ssize_t size = ::recv(far.get(), down.data(), down.size(), MSG_DONTWAIT);
        if (size == 0) ended = true;
        const auto came = std::string_view(down).substr(0, static_cast<std::size_t>(std::max(size, ssize_t{0})));
        if (by_hand) heard += came;
        if (!by_hand && size > 0) client.feed(came);
        return size > 0 || !up.empty();
    }
};

}  // namespace edgeproxy::proxy::test
