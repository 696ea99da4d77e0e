// SPDX-License-Identifier: Apache-2.0
// Which certificate, protocol, version and session a client gets.
#include "tls/context.hpp"

#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"
#include "tls/error.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using namespace std::chrono_literals;

namespace {

const std::vector<Pem>& three_certificates() {
    static const std::vector<Pem> pems = {issue({"first", "DNS:first.test,DNS:www.first.test"}),
                                          issue({"wild", "DNS:*.wild.test", Wanted::Key::rsa2048}),
                                          issue({"told", "DNS:ignored.test"})};
    return pems;
}

config::Tls three_hosts() {
    config::Tls tls;
    tls.certificates.resize(3);
    tls.certificates[2].hosts = {"told.test", "a.wild.test"};
    return tls;
}

}  // namespace

TEST_CASE("the name that a client asks for chooses the certificate", "[tls][context]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const auto [name, certificate] = GENERATE(table<std::string, std::string>({
        {"", "first"},
        {"first.test", "first"},
        {"WWW.First.Test", "first"},
        {"b.wild.test", "wild"},
        {"a.wild.test", "told"},
        {"told.test", "told"},
        {"ignored.test", "first"},
        {"a.b.wild.test", "first"},
        {"unknown.test", "first"},
    }));
    INFO(name << " " << version);
    World world{three_hosts(), three_certificates()};
    const auto connection = world.connected({.server_name = name, .lowest = version, .highest = version});
    CHECK_FALSE(world.outcome);
    CHECK(connection.client->certificate_name() == certificate);
    CHECK(connection.stream->server_name() == name);
}

TEST_CASE("an unknown name is rejected when the configuration says so", "[tls][context]") {
    config::Tls tls = three_hosts();
    tls.unknown_host = config::UnknownHost::reject;
    World world{tls, three_certificates()};
    const auto known = world.connected({.server_name = "b.wild.test"});
    CHECK_FALSE(world.outcome);
    const auto nameless = world.connected();
    CHECK_FALSE(world.outcome);
    const auto unknown = world.connected({.server_name = "unknown.test"});
    CHECK(world.outcome == errc::unknown_host);
    CHECK(unknown.client->alert == SSL_AD_UNRECOGNIZED_NAME);
}

TEST_CASE("ALPN takes our first protocol that the client speaks", "[tls][context]") {
    using config::Protocol;
    const std::string h2 = "\x02h2", http1 = "\x08http/1.1", other = "\x03pop";
    struct Case {
        std::vector<Protocol> ours;
        std::string theirs, chosen;
        bool refused;
    };
    const auto c = GENERATE_COPY(values<Case>({
        {{Protocol::h2, Protocol::http1}, http1 + h2, "h2", false},
        {{Protocol::http1, Protocol::h2}, h2 + http1, "http/1.1", false},
        {{Protocol::h2, Protocol::http1}, http1, "http/1.1", false},
        {{Protocol::h2, Protocol::http1}, other + http1, "http/1.1", false},
        {{Protocol::h2, Protocol::http1}, other, "", true},
        {{Protocol::http1}, h2, "", true},
        {{Protocol::h2, Protocol::http1}, "", "", false},
    }));
    World world{{}, {}, c.ours};
    const auto connection = world.connected({.alpn = c.theirs});
    CHECK(connection.stream->alpn() == c.chosen);
    if (c.refused) {
        CHECK(world.outcome == errc::no_alpn);
        CHECK(connection.client->alert == SSL_AD_NO_APPLICATION_PROTOCOL);
    } else {
        CHECK_FALSE(world.outcome);
        CHECK(connection.client->alpn() == c.chosen);
    }
}

TEST_CASE("the profile decides the versions and ciphers", "[tls][context]") {
    using config::TlsProfile;
    struct Case {
        TlsProfile profile;
        int version;
        const char* ciphers;
        const char* result;
    };
    const auto c = GENERATE(values<Case>({
        {TlsProfile::modern, TLS1_3_VERSION, "", "TLSv1.3"},
        {TlsProfile::modern, TLS1_2_VERSION, "", ""},
        {TlsProfile::intermediate, TLS1_3_VERSION, "", "TLSv1.3"},
        {TlsProfile::intermediate, TLS1_2_VERSION, "", "TLSv1.2"},
        {TlsProfile::intermediate, TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2"},
        {TlsProfile::intermediate, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", ""},
        {TlsProfile::intermediate, TLS1_2_VERSION, "AES128-GCM-SHA256", ""},
        {TlsProfile::intermediate, TLS1_1_VERSION, "DEFAULT@SECLEVEL=0", ""},
    }));
    INFO(c.version << " " << c.ciphers);
    config::Tls tls;
    tls.profile = c.profile;
    tls.min_version = c.profile == TlsProfile::modern ? config::TlsVersion::tls13 : config::TlsVersion::tls12;
    World world{tls};
    const auto connection = world.connected({.lowest = c.version, .highest = c.version, .tls12_ciphers = c.ciphers});
    const std::string result = c.result;
    if (result.empty()) {
        CHECK(world.outcome == errc::nothing_shared);
    } else {
        CHECK_FALSE(world.outcome);
        CHECK(connection.stream->tls_version() == result);
    }
}

namespace {

/// OpenSSL's client forgets a session whose connection was not shut down.
void leave(World& world, const World::Connection& connection) {
    connection.client->close_notify();
    world.settle(*connection.client);
}

/// The one ticket of a new connection, or null.
UniqueSession ticket_of(World& world, const Wishes& wishes) {
    const auto connection = world.connected(wishes);
    auto& sessions = connection.client->sessions;
    leave(world, connection);
    if (sessions.empty()) return nullptr;
    CHECK(sessions.size() == 1);
    return std::move(sessions.back());
}

}  // namespace

TEST_CASE("a session resumes until its key is forgotten", "[tls][context][tickets]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    INFO(version);
    World world;
    Wishes wishes{.server_name = "localhost", .lowest = version, .highest = version};
    const UniqueSession session = ticket_of(world, wishes);
    REQUIRE(session);
    const auto resumes = [&](io::Duration later) {
        const UniqueSession copy{SSL_SESSION_dup(session.get())};  // a client uses a ticket once
        wishes.session = copy.get();
        world.clock.advance(later);
        world.tickets.advance(world.clock.now());
        const auto connection = world.connected(wishes);
        REQUIRE_FALSE(world.outcome);
        CHECK(connection.stream->server_name() == "localhost");
        return connection.stream->tls_resumed();
    };
    CHECK(resumes(1min));
    CHECK(resumes(12h));
    CHECK(resumes(11h));
    CHECK_FALSE(resumes(1h));
}

TEST_CASE("a client that uses each ticket once resumes every time", "[tls][context][tickets]") {
    // RFC 8446, section C.4: it should not be recognisable by a ticket, so browsers throw a used one away.
    World world;
    Wishes wishes;
    UniqueSession session = ticket_of(world, wishes);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(session);
        wishes.session = session.get();
        const auto connection = world.connected(wishes);
        CHECK(connection.stream->tls_resumed());
        auto& sessions = connection.client->sessions;
        leave(world, connection);
        REQUIRE(sessions.size() == 1);
        session = std::move(sessions.back());
    }
}

TEST_CASE("a session does not resume with keys of another process, unless these were handed over", "[tls][tickets]") {
    World first, second;
    const UniqueSession session = ticket_of(first, {});
    REQUIRE(session);
    const auto stranger = second.connected({.session = session.get()});
    CHECK_FALSE(second.outcome);
    CHECK_FALSE(stranger.stream->tls_resumed());
    REQUIRE(second.tickets.import_keys(first.tickets.export_keys(), second.clock.now()));
    const auto friendly = second.connected({.session = session.get()});
    CHECK(friendly.stream->tls_resumed());
}

TEST_CASE("without tickets nothing resumes", "[tls][context][tickets]") {
    config::Tls tls;
    tls.tickets = false;
    World world{tls};
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const UniqueSession session = ticket_of(world, {.lowest = version, .highest = version});
    const auto again = world.connected({.lowest = version, .highest = version, .session = session.get()});
    CHECK_FALSE(world.outcome);
    CHECK_FALSE(again.stream->tls_resumed());
}

TEST_CASE("the first certificate that cannot be served is named", "[tls][context]") {
    World world;
    std::vector<Pem> pems = three_certificates();
    pems[1].key = pems[0].key;
    const auto loaded = Identities::load({}, pems, world.tickets);
    REQUIRE(loaded.has_error());
    CHECK(loaded.error().index == 1);
    CHECK_THAT(loaded.error().message, Catch::Contains("the key does not fit"));
    CHECK(Identities::load({}, {}, world.tickets).has_error());
}
