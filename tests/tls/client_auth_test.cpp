// SPDX-License-Identifier: Apache-2.0
// Clients that show a certificate: who is let in, under which rules, and whom the certificate names.
#include "tls/client_auth.hpp"

#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"
#include "tls/client_identity.hpp"
#include "tls/error.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;
using config::ClientAuthMode;

namespace {

/// An authority, what it issued, and the server's own certificates.
struct Hall {
    Pem root = issue({.common_name = "root", .authority = true});
    Pem middle = issue({.common_name = "middle", .issuer = &root, .authority = true, .serial = 7});
    Pem lower = issue({.common_name = "lower", .issuer = &middle, .authority = true, .serial = 8});
    Pem friendly = issue({.common_name = "friend", .names = "DNS:friend.test", .issuer = &root, .serial = 2});
    Pem revoked = issue({.common_name = "revoked", .issuer = &root, .serial = 3});
    Pem expired = issue({.common_name = "expired", .days = -1, .issuer = &root, .serial = 4});
    Pem near = below(middle);
    Pem far = below(lower, middle.chain);
    Pem stranger = issue({.common_name = "stranger"});
    Pem open = issue({"open", "DNS:open.test"}), closed = issue({"closed", "DNS:closed.test"});

    static Pem below(const Pem& authority, const std::string& more = "") {
        Pem pem = issue({.common_name = "below", .issuer = &authority, .serial = 9});
        pem.chain += authority.chain + more;
        return pem;
    }
};

const Hall& hall() {
    static const Hall made;
    return made;
}

/// `open.test` asks nobody, `closed.test` as told.
config::Tls two_hosts(ClientAuthMode mode, bool crl = false) {
    config::Tls tls;
    tls.certificates = {{"open.pem", "", {}, "", {}}, {"closed.pem", "", {}, "", {}}};
    tls.certificates[1].client_auth = config::ClientAuth{mode, "ca.pem", crl ? "crl.pem" : "", 1};
    return tls;
}

std::vector<Pem> two_pems(const std::string& crl = "") {
    std::vector<Pem> pems{hall().open, hall().closed};
    pems[1].client_ca = hall().root.chain;
    pems[1].client_crl = crl;
    return pems;
}

std::string crl() {
    return revoke(hall().root, {3});
}

}  // namespace

TEST_CASE("who is let in, by what is asked and what is shown", "[tls][client_auth]") {
    struct Case {
        const char* story;
        ClientAuthMode mode;
        const Pem* own;
        io::error_code outcome;
        const char* subject;
    };
    const auto c = GENERATE(values<Case>({
        {"nothing is asked", ClientAuthMode::none, &hall().friendly, {}, ""},
        {"asked and none", ClientAuthMode::request, nullptr, {}, ""},
        {"asked and good", ClientAuthMode::request, &hall().friendly, {}, "CN=friend"},
        {"asked and unknown", ClientAuthMode::request, &hall().stranger, errc::client_unknown_ca, ""},
        {"required and none", ClientAuthMode::require, nullptr, errc::no_client_certificate, ""},
        {"required and good", ClientAuthMode::require, &hall().friendly, {}, "CN=friend"},
        {"required and unknown", ClientAuthMode::require, &hall().stranger, errc::client_unknown_ca, ""},
        {"required and expired", ClientAuthMode::require, &hall().expired, errc::client_expired, ""},
        {"without a list nothing is revoked", ClientAuthMode::require, &hall().revoked, {}, "CN=revoked"},
        {"one intermediate", ClientAuthMode::require, &hall().near, {}, "CN=below"},
        {"one too many", ClientAuthMode::require, &hall().far, errc::client_invalid, ""},
    }));
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    INFO(c.story << " " << version);
    World world{two_hosts(c.mode), two_pems()};
    const auto connection =
        world.connected({.server_name = "closed.test", .lowest = version, .highest = version, .own = c.own});
    CHECK(world.outcome == c.outcome);
    CHECK(connection.stream->asks_client() == (c.mode != ClientAuthMode::none));
    const auto identity = connection.stream->client_identity();
    const std::string subject = c.subject;
    if (subject.empty()) {
        CHECK((c.outcome || identity == nullptr));
    } else {
        REQUIRE(identity);
        CHECK(identity->subject == subject);
    }
}

TEST_CASE("a name that asks nobody asks nobody, though its neighbour does", "[tls][client_auth]") {
    World world{two_hosts(ClientAuthMode::require), two_pems()};
    const auto connection = world.connected({.server_name = "open.test"});
    CHECK_FALSE(world.outcome);
    CHECK_FALSE(connection.stream->asks_client());
    const auto nameless = world.connected();
    CHECK_FALSE(world.outcome);
}

TEST_CASE("who is on the revocation list is refused", "[tls][client_auth]") {
    const Hall& h = hall();
    World world{two_hosts(ClientAuthMode::require, true), two_pems(crl())};
    const auto bad = world.connected({.server_name = "closed.test", .own = &h.revoked});
    CHECK(world.outcome == errc::client_revoked);
    CHECK(bad.client->alert == SSL_AD_CERTIFICATE_REVOKED);
    const auto good = world.connected({.server_name = "closed.test", .own = &h.friendly});
    CHECK_FALSE(world.outcome);
    // Of an authority whose list is missing nobody can be told good.
    const auto unlisted = world.connected({.server_name = "closed.test", .own = &h.near});
    CHECK(world.outcome == errc::client_invalid);
}

TEST_CASE("files of client_auth that cannot be used are told", "[tls][client_auth]") {
    struct Case {
        std::string ca, crl, message;
        CertificateError::Where where;
    };
    const std::string ca = hall().root.chain;
    const auto c = GENERATE_COPY(values<Case>({
        {"", crl(), "client_auth.ca: no certificate in it", CertificateError::Where::client_ca},
        {"nonsense", crl(), "client_auth.ca: no certificate in it", CertificateError::Where::client_ca},
        {ca.substr(0, ca.size() / 2), crl(), "client_auth.ca: certificate number 1 in it is damaged",
         CertificateError::Where::client_ca},
        {ca, "", "client_auth.crl: no revocation list in it", CertificateError::Where::client_crl},
        {ca, crl().substr(0, 200), "client_auth.crl: revocation list number 1 in it is damaged",
         CertificateError::Where::client_crl},
    }));
    World world;
    std::vector<Pem> pems = two_pems(c.crl);
    pems[1].client_ca = c.ca;
    const auto loaded = Identities::load(two_hosts(ClientAuthMode::require, true), pems, world.tickets);
    REQUIRE(loaded.has_error());
    CHECK_THAT(loaded.error().message, Catch::StartsWith(c.message));
    CHECK(loaded.error().where == c.where);
    CHECK(loaded.error().index == 1);
}

TEST_CASE("a revocation list that has expired is told", "[tls][client_auth]") {
    World world;
    const auto loaded = Identities::load(two_hosts(ClientAuthMode::require, true),
                                         two_pems(revoke(hall().root, {}, -1)), world.tickets);
    REQUIRE_FALSE(loaded.has_error());
    const auto& warnings = (*loaded)->infos()[1].warnings;
    CHECK_THAT(warnings.back(), Catch::Contains("revocation list has expired"));
}

namespace {

UniqueSession session_of(World& world, const Wishes& wishes) {
    const auto connection = world.connected(wishes);
    REQUIRE_FALSE(world.outcome);
    auto& sessions = connection.client->sessions;
    connection.client->close_notify();
    world.settle(*connection.client);
    REQUIRE_FALSE(sessions.empty());
    return std::move(sessions.back());
}

}  // namespace

TEST_CASE("a session does not cross over to a name with other rules", "[tls][client_auth][tickets]") {
    // With the ticket of a name that asks nobody, a client must not be taken for verified at one that does.
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const auto from = GENERATE(as<std::string>(), "open.test", "closed.test");
    const std::string to = from == "open.test" ? "closed.test" : "open.test";
    INFO(version << " " << from);
    World world{two_hosts(ClientAuthMode::require), two_pems()};
    Wishes wishes{.server_name = from, .lowest = version, .highest = version, .own = &hall().friendly};
    const UniqueSession session = session_of(world, wishes);
    wishes.session = session.get();
    const UniqueSession copy{SSL_SESSION_dup(session.get())};
    const auto home = world.connected(wishes);
    REQUIRE_FALSE(world.outcome);
    CHECK(home.stream->tls_resumed());
    CHECK(home.stream->has_client_certificate() == (from == "closed.test"));

    wishes.session = copy.get();
    wishes.server_name = to;
    wishes.own = nullptr;
    const auto away = world.connected(wishes);
    CHECK_FALSE(away.stream->tls_resumed());
    CHECK(world.outcome == (to == "closed.test" ? io::error_code(errc::no_client_certificate) : io::error_code()));
}

TEST_CASE("whose certificate was revoked meanwhile cannot resume", "[tls][client_auth][tickets]") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    World world{two_hosts(ClientAuthMode::require, true), two_pems(revoke(hall().root, {}))};
    Wishes wishes{.server_name = "closed.test", .lowest = version, .highest = version, .own = &hall().revoked};
    const UniqueSession session = session_of(world, wishes);
    std::vector<CertificateError> refused;
    const std::vector<Replacement> replacements{{1, two_pems(crl())[1]}};
    const auto fresh = world.context.identities().replaced(replacements, refused);
    REQUIRE(fresh);
    world.context = Context(fresh, std::vector{config::Protocol::http1});
    wishes.session = session.get();
    const auto again = world.connected(wishes);
    CHECK(world.outcome == errc::client_revoked);
}

TEST_CASE("a request comes over a connection whose rules are those of its host, or is misdirected",
          "[tls][client_auth]") {
    World world{two_hosts(ClientAuthMode::require), two_pems()};
    const Identities& identities = world.context.identities();
    const auto open = identities.rules(0), closed = identities.rules(1);
    CHECK(open != closed);
    CHECK(identities.admits(open, "open.test"));
    CHECK(identities.admits(closed, "Closed.test"));
    CHECK_FALSE(identities.admits(open, "closed.test"));
    CHECK_FALSE(identities.admits(closed, "open.test"));
    CHECK(identities.admits(open, "unknown.test"));
    CHECK_FALSE(identities.admits(closed, "unknown.test"));
    CHECK(identities.admits(open, ""));

    World same;
    CHECK(same.context.identities().admits(same.context.identities().rules(0), "whatever.test"));
    CHECK_FALSE(same.context.identities().admits(closed, "whatever.test"));
}

TEST_CASE("the identity of a certificate is fit for a header, whatever it says", "[tls][client_auth]") {
    struct Case {
        const char *common_name, *names, *subject, *said;
    };
    const auto c = GENERATE(values<Case>({
        {"plain", "DNS:a.test,URI:spiffe://house/app,email:a@b.test,IP:10.0.0.1", "CN=plain",
         "DNS:a.test,URI:spiffe://house/app,email:a@b.test,IP:10.0.0.1"},
        {"a\r\nX-Admin: 1", "DNS:a.test", "CN=a\\0D\\0AX-Admin: 1", "DNS:a.test"},
        {"a,O=b", "DNS:a.test", "CN=a\\,O=b", "DNS:a.test"},
        {"gr\xc3\xbc\xc3\x9f", "URI:http://x/%20", "CN=gr\\C3\\BC\\C3\\9F", "URI:http://x/%2520"},
    }));
    const Pem own = issue({.common_name = c.common_name, .names = c.names, .issuer = &hall().root, .serial = 0x4d2});
    World world{two_hosts(ClientAuthMode::request), two_pems()};
    const auto connection = world.connected({.server_name = "closed.test", .own = &own});
    REQUIRE_FALSE(world.outcome);
    const auto identity = connection.stream->client_identity();
    REQUIRE(identity);
    CHECK(identity->subject == c.subject);
    CHECK(identity->names == c.said);
    CHECK(identity->issuer == "CN=root");
    CHECK(identity->serial == "04D2");
    CHECK(identity->fingerprint.size() == 64);
}
