// SPDX-License-Identifier: Apache-2.0
// OCSP answers that are stapled, and those that are not.
#include <catch2/catch.hpp>

#include "issue.hpp"
#include "peer.hpp"
#include "tls/ocsp.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;

namespace {

struct Chain {
    Pem authority = issue({.common_name = "authority", .authority = true});
    Pem other = issue({.common_name = "other", .authority = true});
    Pem leaf = with_issuer(5), sibling = with_issuer(6);
    Pem with_issuer(long serial) const {
        Pem pem = issue({.common_name = "leaf", .names = "DNS:leaf.test", .issuer = &authority, .serial = serial});
        pem.chain += authority.chain;
        return pem;
    }
};

const Chain& chain() {
    static const Chain made;
    return made;
}

}  // namespace

TEST_CASE("only a good answer about the certificate is stapled, else there is a warning", "[tls][ocsp]") {
    struct Case {
        std::string answer, warning;
    };
    const Chain& c = chain();
    const auto [answer, warning] = GENERATE_COPY(values<Case>({
        {ocsp_answer(c.leaf, c.authority), ""},
        {ocsp_answer(c.sibling, c.authority), "it is about another certificate"},
        {ocsp_answer(c.leaf, c.other), "it is about another certificate"},
        {ocsp_answer(c.leaf, c.authority, false), "it says revoked"},
        {ocsp_answer(c.leaf, c.authority, true, -60), "it has expired"},
        {"nonsense", "it is no OCSP answer in DER"},
        {std::string("\x30\x03\x0a\x01\x03", 5), "it answers trylater"},
    }));
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    Pem pem = c.leaf;
    pem.ocsp = answer;
    World world{{}, {pem}};
    const auto connection = world.connected({.lowest = version, .highest = version, .status = true});
    CHECK_FALSE(world.outcome);
    const CertificateInfo& info = world.context.identities().infos()[0];
    if (warning.empty()) {
        CHECK(connection.client->staple() == answer);
        CHECK(info.warnings.empty());
        CHECK(info.stapled_until > std::chrono::system_clock::now());
    } else {
        CHECK(connection.client->staple().empty());
        REQUIRE(info.warnings.size() == 1);
        CHECK(info.warnings[0] == "the OCSP answer is not stapled: " + warning);
    }
    const auto silent = world.connected({.lowest = version, .highest = version});
    CHECK(silent.client->staple().empty());
}

TEST_CASE("an answer that is forged, or cannot be checked, is not stapled", "[tls][ocsp]") {
    const Chain& c = chain();
    std::string why;
    const auto now = std::chrono::system_clock::now();
    std::string forged = ocsp_answer(c.leaf, c.authority);
    forged.back() = static_cast<char>(forged.back() ^ 1);
    const Certificate whole = load_certificate(c.leaf.chain, c.leaf.key).value();
    CHECK(check_staple(forged, whole, now, why).der.empty());
    CHECK_FALSE(why.empty());
    const std::string alone = c.leaf.chain.substr(0, c.leaf.chain.find("-----BEGIN", 1));
    const Certificate bare = load_certificate(alone, c.leaf.key).value();
    CHECK(check_staple(ocsp_answer(c.leaf, c.authority), bare, now, why).der.empty());
    CHECK(why == "its issuer is not in the certificate's file, so it cannot be checked");
    CHECK(check_staple(ocsp_answer(c.leaf, c.authority), whole, now + std::chrono::hours(2), why).der.empty());
    CHECK(why == "it has expired");
    CHECK_FALSE(check_staple(ocsp_answer(c.leaf, c.authority), whole, now, why).der.empty());
    CHECK(why.empty());
}
