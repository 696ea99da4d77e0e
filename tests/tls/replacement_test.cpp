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

TEST_CASE("certificates of a directory come and go; the first that is there is the default", "[tls][replacement]") {
    config::Tls tls;
    tls.dir = "/certs";
    const Pem hole;
    World world{tls, {two()[0], hole, two()[1]}};
    const auto serves = [&](const char* name) {
        return world.connected({.server_name = name}).client->certificate_name();
    };
    const auto change = [&](std::vector<Replacement> changes) {
        std::vector<CertificateError> refused;
        if (const auto next = world.context.identities().replaced(changes, refused))
            world.context = Context(next, std::vector{config::Protocol::http1});
        return refused;
    };
    CHECK(serves("first.test") == "first");
    CHECK(serves("second.test") == "second");
    CHECK(serves("unknown.test") == "first");
    CHECK(world.context.identities().infos()[1].subject.empty());

    Pem third = issue({"third", "DNS:third.test"}), broken = third;
    broken.key = two()[0].key;
    broken.name = "/certs/broken.crt";
    const auto refused = change({{3, third}, {4, broken}});
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].index == 4);
    CHECK(refused[0].name == "/certs/broken.crt");
    CHECK(serves("third.test") == "third");
    CHECK(change({{0, {}, true}, {1, {}, true}}).empty());
    CHECK(serves("first.test") == "second");
    CHECK(serves("unknown.test") == "second");
    // The last one stays, whatever is said.
    CHECK(change({{2, {}, true}}).empty());
    const auto last = change({{3, {}, true}});
    REQUIRE(last.size() == 1);
    CHECK(last[0].message == "its files are gone, but it is the last one");
    CHECK(serves("third.test") == "third");
    CHECK(change({{3, {}, true}, {5, two()[0]}}).size() == 1);  // in this order it is the last one still
    CHECK(change({{3, {}, true}}).empty());
    CHECK(serves("third.test") == "first");
}

TEST_CASE("the certificate that says so is the default", "[tls][replacement]") {
    config::Tls tls = two_hosts();
    tls.certificates[1].is_default = true;
    World world{tls, two()};
    CHECK(world.connected({.server_name = "unknown.test"}).client->certificate_name() == "second");
    CHECK(world.connected({}).client->certificate_name() == "second");
    CHECK(world.connected({.server_name = "first.test"}).client->certificate_name() == "first");
    CHECK(world.context.identities().admits(world.context.identities().rules(1), "unknown.test"));
}
