// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>
#include <catch2/catch.hpp>

#include "issue.hpp"
#include "tasks.hpp"
#include "tls/client_context.hpp"
#include "tls/error.hpp"
#include "tls/memory_client.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;

namespace {

/// Both ends in our hand: a server's stream and a client's, on one reactor.
struct Pair {
    explicit Pair(World& world) {
        auto [near, far] = io::socket_pair();
        server = std::make_unique<Stream>(std::make_unique<io::Socket>(world.reactor, std::move(near)));
        client = std::make_unique<Stream>(std::make_unique<io::Socket>(world.reactor, std::move(far)));
    }
    std::unique_ptr<Stream> server, client;
};

io::Task<void> connects(Stream& stream, World& world, const ClientContext& context, const ClientPeer& peer,
                        io::error_code& outcome, bool& done) {
    const auto result = co_await stream.connect(context, peer, world.windows);
    if (result.has_error()) outcome = result.error();
    done = true;
}

/// How the client's handshake ended.
io::error_code handshake(World& world, Pair& pair, const ClientContext& context, const ClientPeer& peer) {
    io::error_code outcome, servers;
    bool done = false, accepted = false;
    world.reactor.spawn(accepts(*pair.server, world, servers, accepted));
    world.reactor.spawn(connects(*pair.client, world, context, peer, outcome, done));
    for (int i = 0; i < 200 && !(done && accepted); ++i) world.reactor.run_once(io::Duration::zero());
    REQUIRE(done);
    if (!accepted) pair.client->socket().close();
    for (int i = 0; i < 200 && !accepted; ++i) world.reactor.run_once(io::Duration::zero());
    return outcome;
}

ClientSettings with_roots(const std::string& roots) {
    ClientSettings settings;
    settings.roots = roots;
    return settings;
}

ClientSettings careless() {
    ClientSettings settings;
    settings.insecure = true;
    return settings;
}

std::shared_ptr<const ClientContext> context_of(const ClientSettings& settings) {
    auto made = ClientContext::load(settings);
    REQUIRE(made.has_value());
    return *made;
}

}  // namespace

TEST_CASE("a client believes a certificate for the host it asked for, and nobody else's", "[tls][client]") {
    // The table is made once, so the certificates in it have to be as well.
    static const Pem ours = issue({.common_name = "a", .names = "DNS:a.test,DNS:*.b.test,IP:127.0.0.1"});
    static const Pem others = issue({.common_name = "a", .names = "DNS:a.test"});
    const auto [host, roots, expected] = GENERATE_COPY(table<std::string, std::string, io::error_code>({
        {"a.test", ours.chain, {}},
        {"x.b.test", ours.chain, {}},
        {"127.0.0.1", ours.chain, {}},
        {"y.x.b.test", ours.chain, errc::certificate_wrong_host},
        {"b.test", ours.chain, errc::certificate_wrong_host},
        {"a", ours.chain, errc::certificate_wrong_host},  // a common name is no name
        {"127.0.0.2", ours.chain, errc::certificate_wrong_host},
        {"a.test", others.chain, errc::certificate_untrusted},
        {"a.test", "", errc::certificate_untrusted},
    }));
    CAPTURE(host);
    config::Tls tls;
    tls.certificates.emplace_back();
    World world{tls, {ours}};
    Pair pair{world};
    const auto context = context_of(with_roots(roots));
    CHECK(handshake(world, pair, *context, {host, offer_both, nullptr}) == expected);
    if (!expected) CHECK(pair.client->alpn() == "h2");
}

TEST_CASE("an expired certificate is not believed, unless nothing is", "[tls][client]") {
    const Pem old = issue({.common_name = "a", .names = "DNS:a.test", .days = -1});
    config::Tls tls;
    tls.certificates.emplace_back();
    World world{tls, {old}};
    Pair strict{world}, lax{world};
    const auto careful = context_of(with_roots(old.chain));
    CHECK(handshake(world, strict, *careful, {"a.test", offer_http1, nullptr}) == errc::certificate_expired);
    const auto insecure = context_of(careless());
    CHECK_FALSE(handshake(world, lax, *insecure, {"other.test", offer_http1, nullptr}));
}

TEST_CASE("bytes that come before we said anything are fatal", "[tls][client]") {
    World world;
    auto [near, far] = io::socket_pair();
    REQUIRE(::write(near.get(), "HTTP/1.1 200 OK\r\n\r\n", 19) == 19);
    Stream stream{std::make_unique<io::Socket>(world.reactor, std::move(far))};
    const auto context = context_of(careless());
    io::error_code outcome;
    bool done = false;
    const ClientPeer peer{"a.test", offer_http1, nullptr};
    world.reactor.spawn(connects(stream, world, *context, peer, outcome, done));
    for (int i = 0; i < 10 && !done; ++i) world.reactor.run_once(io::Duration::zero());
    REQUIRE(done);
    CHECK(outcome == errc::spoke_first);
    char sent = 0;
    CHECK(::read(near.get(), &sent, 1) < 0);  // not one byte of a ClientHello
}

TEST_CASE("a session is resumed", "[tls][client]") {
    World world;
    const auto context = context_of(careless());
    const auto resumption = std::make_shared<Resumption>();
    const ClientPeer peer{"localhost", offer_http1, resumption};
    Pair first{world}, second{world};
    REQUIRE_FALSE(handshake(world, first, *context, peer));
    CHECK_FALSE(first.client->tls_resumed());
    // The ticket comes behind the handshake.
    std::string got;
    io::error_code end;
    world.reactor.spawn(reads(*first.client, 100, got, end));
    io::Result<std::size_t> sent = pending;
    world.reactor.spawn(writes(*first.server, "hello", {}, sent));
    for (int i = 0; i < 20; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK(got == "hello");
    REQUIRE(resumption->session() != nullptr);
    REQUIRE_FALSE(handshake(world, second, *context, peer));
    CHECK(second.client->tls_resumed());
    first.client->socket().cancel();
    world.reactor.run_once(io::Duration::zero());
}

TEST_CASE("roots must be certificates", "[tls][client]") {
    CHECK(ClientContext::load(with_roots("hello")).has_error());
    ClientSettings nonsense;
    nonsense.own = {"hello", "you"};
    CHECK(ClientContext::load(nonsense).has_error());
}

TEST_CASE("a client between two texts speaks the same TLS", "[tls][client]") {
    World world;
    const auto context = context_of(careless());
    auto [near, far] = io::socket_pair();
    Stream server{std::make_unique<io::Socket>(world.reactor, std::move(near))};
    io::error_code outcome;
    bool accepted = false;
    world.reactor.spawn(accepts(server, world, outcome, accepted));
    MemoryClient client{*context, {"localhost", offer_h2, nullptr}};
    std::string got;
    io::error_code end;
    for (int i = 0; i < 50; ++i) {
        const std::string out = client.take_output();
        if (!out.empty()) REQUIRE(::write(far.get(), out.data(), out.size()) == static_cast<ssize_t>(out.size()));
        world.reactor.run_once(io::Duration::zero());
        std::string in(16384, '\0');
        const ssize_t size = ::read(far.get(), in.data(), in.size());
        if (size > 0) REQUIRE(client.feed({in.data(), static_cast<std::size_t>(size)}));
    }
    REQUIRE(accepted);
    REQUIRE(client.established());
    CHECK(client.has_h2());
    client.write("a request");
    const std::string out = client.take_output();
    REQUIRE(::write(far.get(), out.data(), out.size()) == static_cast<ssize_t>(out.size()));
    world.reactor.spawn(reads(server, 100, got, end));
    for (int i = 0; i < 10; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK(got == "a request");
    server.socket().cancel();
    world.reactor.run_once(io::Duration::zero());
}
