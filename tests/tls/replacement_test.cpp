// SPDX-License-Identifier: Apache-2.0
// Certificates that change while they are served.
#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;

namespace {

const std::vector<Pem>& two() {
    static const std::vector<Pem> pems = {issue({"first", "DNS:first.test"}), issue({"second", "DNS:second.test"})};
    return pems;
}

config::Tls two_hosts() {
    config::Tls tls;
    tls.certificates = {{"first.pem", "", {}, "", {}}, {"second.pem", "", {}, "", {}}};
    return tls;
}

}  // namespace

TEST_CASE("a replaced certificate serves the next handshake; connections and sessions go on", "[tls][replacement]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world{two_hosts(), two()};
    Wishes wishes{.server_name = "second.test", .lowest = version, .highest = version};
    const auto old = world.connected(wishes);
    CHECK(old.client->certificate_name() == "second");
    REQUIRE_FALSE(old.client->sessions.empty());

    std::vector<CertificateError> refused;
    const std::vector<Replacement> fresh{{1, issue({"renewed", "DNS:second.test,DNS:third.test"})}};
    const auto replaced = world.context.identities().replaced(fresh, refused);
    REQUIRE(replaced);
    CHECK(refused.empty());
    world.context = Context(replaced, std::vector{config::Protocol::http1});
    const auto next = world.connected(wishes);
    CHECK(next.client->certificate_name() == "renewed");
    wishes.server_name = "third.test";
    const auto other = world.connected(wishes);
    CHECK(other.client->certificate_name() == "renewed");
    wishes.server_name = "first.test";
    const auto untouched = world.connected(wishes);
    CHECK(untouched.client->certificate_name() == "first");

    wishes.server_name = "second.test";
    const UniqueSession session{SSL_SESSION_dup(old.client->sessions.back().get())};
    wishes.session = session.get();
    const auto resumed = world.connected(wishes);
    CHECK_FALSE(world.outcome);
    CHECK(resumed.stream->tls_resumed());

    old.client->send("still here");
    world.settle(*old.client);
    CHECK_FALSE(old.client->closed);
}

TEST_CASE("a pair that does not fit is refused and the old one stays", "[tls][replacement]") {
    World world{two_hosts(), two()};
    const Pem good = issue({"renewed", "DNS:first.test"});
    Pem mismatched = good, truncated = good;
    mismatched.key = two()[1].key;
    truncated.chain.resize(truncated.chain.size() / 2);
    std::vector<CertificateError> refused;
    SECTION("alone") {
        const std::size_t which = GENERATE(0u, 1u, 2u);
        const std::vector<Replacement> fresh{{0, std::vector{mismatched, truncated, Pem{}}[which]}};
        CHECK(world.context.identities().replaced(fresh, refused) == nullptr);
        REQUIRE(refused.size() == 1);
        CHECK(refused[0].index == 0);
        CHECK_FALSE(refused[0].message.empty());
    }
    SECTION("beside a good one, which is taken") {
        const std::vector<Replacement> fresh{{0, mismatched}, {1, issue({"new second", "DNS:second.test"})}};
        const auto replaced = world.context.identities().replaced(fresh, refused);
        REQUIRE(replaced);
        CHECK(refused.size() == 1);
        world.context = Context(replaced, std::vector{config::Protocol::http1});
        CHECK(world.connected({.server_name = "first.test"}).client->certificate_name() == "first");
        CHECK(world.connected({.server_name = "second.test"}).client->certificate_name() == "new second");
    }
}

namespace {

/// Told when an SSL_CTX dies.
void died(void*, void* flag, CRYPTO_EX_DATA*, int, long, void*) {
    if (flag != nullptr) *static_cast<bool*>(flag) = true;
}

}  // namespace

TEST_CASE("what was replaced lives as long as the last connection that uses it", "[tls][replacement]") {
    bool dead = false;
    const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, died);
    World world{two_hosts(), two()};
    SSL_CTX_set_ex_data(world.context.identities().ssl_ctx(0), slot, &dead);
    {
        const auto connection = world.connected({.server_name = "first.test"});
        std::vector<CertificateError> refused;
        const std::vector<Replacement> fresh{{0, issue({"renewed", "DNS:first.test"})}};
        world.context =
            Context(world.context.identities().replaced(fresh, refused), std::vector{config::Protocol::http1});
        CHECK_FALSE(dead);
    }
    CHECK(dead);
}
