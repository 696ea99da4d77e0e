// SPDX-License-Identifier: Apache-2.0
// Versions, suites and groups that the configuration chooses; the bounds of a handshake.
#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using config::TlsVersion;

TEST_CASE("version, suites and groups of the configuration stand over the profile's", "[tls][policy]") {
    struct Case {
        TlsVersion lowest;
        std::vector<std::string> ciphers, groups;
        int version;
        const char* result;  ///< the suite; empty = refused
    };
    const auto c = GENERATE(values<Case>({
        {TlsVersion::tls13, {}, {}, TLS1_2_VERSION, ""},
        {TlsVersion::tls13, {}, {}, TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"},
        {TlsVersion::tls12, {"TLS_CHACHA20_POLY1305_SHA256"}, {}, TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256"},
        {TlsVersion::tls12, {"TLS_CHACHA20_POLY1305_SHA256"}, {}, TLS1_2_VERSION, ""},
        {TlsVersion::tls12, {"ECDHE-ECDSA-AES256-SHA384"}, {}, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384"},
        {TlsVersion::tls12, {"ECDHE-ECDSA-AES256-SHA384"}, {}, TLS1_3_VERSION, ""},
        {TlsVersion::tls12, {}, {"P-521"}, TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"},
    }));
    INFO(c.result << " " << c.version);
    config::Tls tls;
    tls.min_version = c.lowest;
    tls.ciphers = c.ciphers;
    tls.groups = c.groups;
    World world{tls};
    const auto connection = world.connected({.lowest = c.version, .highest = c.version});
    const std::string result = c.result;
    if (result.empty()) {
        CHECK(world.outcome == errc::nothing_shared);
        return;
    }
    CHECK_FALSE(world.outcome);
    CHECK(SSL_get_cipher_name(connection.client->ssl()) == result);
    if (!c.groups.empty()) CHECK(SSL_get_negotiated_group(connection.client->ssl()) == NID_secp521r1);
}

TEST_CASE("names that OpenSSL does not know, and suites that protect nobody, are refused", "[tls][policy]") {
    struct Case {
        std::vector<std::string> ciphers, groups;
        const char* message;
    };
    const auto c = GENERATE(values<Case>({
        {{"ECDHE-RSA-AES128-GCM-SHA256", "AES-OF-MY-OWN"}, {}, "there is no cipher suite \"AES-OF-MY-OWN\""},
        {{"HIGH"}, {}, "there is no cipher suite \"HIGH\""},
        {{"ECDHE-RSA-AES128-GCM-SHA256:!aNULL"}, {}, "there is no cipher suite"},
        {{"ECDHE-ECDSA-NULL-SHA"}, {}, "the cipher suite ECDHE-ECDSA-NULL-SHA does not protect anybody"},
        {{"TLS_OWN"}, {}, "there is no cipher suite \"TLS_OWN\""},
        {{}, {"X25519", "P-999"}, "there is no group \"P-999\""},
    }));
    config::Tls tls;
    tls.ciphers = c.ciphers;
    tls.groups = c.groups;
    World world;
    const auto loaded = Identities::load(tls, std::vector{issue({"a", "DNS:a.test"})}, world.tickets);
    REQUIRE(loaded.has_error());
    CHECK_THAT(loaded.error().message, Catch::StartsWith(c.message));
    CHECK(loaded.error().where == CertificateError::Where::settings);
}

TEST_CASE("a ClientHello beyond its bound is refused before it is whole", "[tls][policy]") {
    // A record says 16 KiB, and the handshake message in it 60,000 bytes (RFC 8446, sections 4 and 5.1).
    const auto [size, outcome] = GENERATE(table<std::size_t, io::error_code>({
        {Session::max_hello - 200, errc::truncated},
        {Session::max_hello + 200, errc::too_large},
    }));
    World world;
    auto connection = world.connect();
    io::error_code got;
    bool done = false;
    world.reactor.spawn(accepts(*connection.stream, world, got, done));
    std::string bytes("\x16\x03\x01\x40\x00\x01\x00\xea\x60\x03\x03", 11);
    bytes.resize(5 + 0x4000, 'x');
    bytes += std::string("\x16\x03\x01\x40\x00", 5) + std::string(0x4000, 'x');
    bytes.resize(size);
    connection.client->send_raw(bytes);
    connection.client->fin();
    for (int i = 0; i < 50 && !done; ++i) world.reactor.run_once(io::Duration::zero());
    CHECK(done);
    CHECK(got == outcome);
}

TEST_CASE("suites are taken in our order, but ChaCha20 for who prefers it", "[tls][policy]") {
    const auto [theirs, chosen] = GENERATE(table<std::string, std::string>({
        {"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
        {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"},
    }));
    World world;
    const auto connection =
        world.connected({.lowest = TLS1_2_VERSION, .highest = TLS1_2_VERSION, .tls12_ciphers = theirs});
    CHECK_FALSE(world.outcome);
    CHECK(SSL_get_cipher_name(connection.client->ssl()) == chosen);
}

TEST_CASE("early data is not taken, nor offered", "[tls][policy]") {
    World world;
    const auto connection = world.connected({.lowest = TLS1_3_VERSION});
    REQUIRE_FALSE(connection.client->sessions.empty());
    CHECK(SSL_SESSION_get_max_early_data(connection.client->sessions.back().get()) == 0);
}
