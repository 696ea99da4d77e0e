// SPDX-License-Identifier: Apache-2.0
#include "tls/certificates.hpp"

#include <openssl/x509v3.h>

#include <catch2/catch.hpp>

#include "issue.hpp"

using namespace edgeproxy::tls;
using Where = CertificateError::Where;

TEST_CASE("a certificate tells its names, times and key", "[tls][certificates]") {
    const Pem pem = issue({"WWW.Example.com", "DNS:Example.com,DNS:*.example.com,IP:10.0.0.1,IP:2001:db8::1"});
    const auto loaded = load_certificate(pem.chain, pem.key);
    REQUIRE(loaded.has_value());
    const CertificateInfo& info = loaded->info;
    CHECK(info.subject == "WWW.Example.com");
    CHECK(info.issuer == info.subject);
    CHECK(info.self_signed);
    CHECK(info.names == std::vector<std::string>{"example.com", "*.example.com", "10.0.0.1", "2001:db8::1"});
    CHECK(info.key_type == "EC P-256");
    CHECK(info.days_left(std::chrono::system_clock::now()) == 89);
    CHECK(info.warnings.empty());
}

TEST_CASE("kinds of key have names that people know", "[tls][certificates]") {
    const auto [kind, name] = GENERATE(table<Wanted::Key, std::string>(
        {{Wanted::Key::ec, "EC P-256"}, {Wanted::Key::rsa2048, "RSA 2048"}, {Wanted::Key::ed25519, "Ed25519"}}));
    const Pem pem = issue({"a.test", "DNS:a.test", kind});
    const auto loaded = load_certificate(pem.chain, pem.key);
    REQUIRE(loaded.has_value());
    CHECK(loaded->info.key_type == name);
}

TEST_CASE("an expired certificate loads and says since when", "[tls][certificates]") {
    const Pem pem = issue({"a.test", "DNS:a.test", Wanted::Key::ec, -3});
    const auto loaded = load_certificate(pem.chain, pem.key);
    REQUIRE(loaded.has_value());
    CHECK(loaded->info.days_left(std::chrono::system_clock::now()) == -4);
}

TEST_CASE("what is wrong with the files is said in words that name the cure", "[tls][certificates]") {
    static const Pem good = issue({"a.test", "DNS:a.test"});
    static const Pem other = issue({"b.test", "DNS:b.test"});
    static const Pem weak = issue({"a.test", "DNS:a.test", Wanted::Key::rsa1024});
    struct Case {
        const char* what;
        std::string chain, key, says;
        Where where;
    };
    const std::string half = good.chain.substr(0, good.chain.size() / 2);
    const auto c = GENERATE_COPY(values<Case>({
        {"empty chain", "", good.key, "the file is empty", Where::chain},
        {"empty key", good.chain, "", "the file is empty", Where::key},
        {"text", "hello\n", good.key, "no certificate in it", Where::chain},
        {"key as chain", good.key, good.key, "no certificate in it", Where::chain},
        {"chain as key", good.chain, good.chain, "no private key in it", Where::key},
        {"cut", half, good.key, "certificate number 1 in it is damaged", Where::chain},
        {"second cut", good.chain + half, good.key, "certificate number 2 in it is damaged", Where::chain},
        {"cut key", good.chain, good.key.substr(0, good.key.size() - 40), "the private key in it is damaged",
         Where::key},
        {"other key", good.chain, other.key, "the key does not fit the certificate", Where::both},
        {"wrong order", other.chain + good.chain, good.key, "is number 2 and must come first", Where::both},
        {"weak", weak.chain, weak.key, "the RSA key has 1024 bits", Where::both},
        {"passphrase", good.chain, with_passphrase(good), "protected by a password", Where::key},
        {"DER", to_der(good), good.key, "it is DER, not PEM", Where::chain},
    }));
    INFO(c.what);
    const auto loaded = load_certificate(c.chain, c.key);
    REQUIRE(loaded.has_error());
    CHECK_THAT(loaded.error().message, Catch::Contains(c.says));
    CHECK(loaded.error().where == c.where);
}

TEST_CASE("a chain with a gap, or none, is a warning", "[tls][certificates]") {
    const Pem root = issue({"root", ""});
    const Pem middle = issue({"middle", "", Wanted::Key::ec, 90, &root});
    const Pem leaf = issue({"a.test", "DNS:a.test", Wanted::Key::ec, 90, &middle});
    const auto whole = load_certificate(leaf.chain + middle.chain + root.chain, leaf.key);
    REQUIRE(whole.has_value());
    CHECK(whole->info.warnings.empty());
    CHECK(whole->intermediates.size() == 2);
    CHECK(whole->info.issuer == "middle");
    const auto gap = load_certificate(leaf.chain + root.chain, leaf.key);
    REQUIRE(gap.has_value());
    CHECK(gap->info.warnings.size() == 1);
    const auto alone = load_certificate(leaf.chain, leaf.key);
    REQUIRE(alone.has_value());
    CHECK(alone->info.warnings.size() == 1);
}

TEST_CASE("a certificate without alternative names serves its common name, with a warning", "[tls][certificates]") {
    const Pem pem = issue({"old.test", ""});
    const auto loaded = load_certificate(pem.chain, pem.key);
    REQUIRE(loaded.has_value());
    CHECK(loaded->info.names == std::vector<std::string>{"old.test"});
    CHECK(loaded->info.warnings.size() == 1);
}

TEST_CASE("the development certificate is for this machine, 30 days", "[tls][certificates]") {
    const auto now = std::chrono::system_clock::now();
    const Pem pem = dev_certificate(now);
    const auto loaded = load_certificate(pem.chain, pem.key);
    REQUIRE(loaded.has_value());
    CHECK(loaded->info.names == std::vector<std::string>{"localhost", "*.localhost", "127.0.0.1", "::1"});
    CHECK(loaded->info.key_type == "EC P-256");
    CHECK(loaded->info.days_left(now) >= 29);
    CHECK(loaded->info.days_left(now) <= 30);
    CHECK(loaded->info.self_signed);
    CHECK(loaded->info.not_before < now);
    CHECK(pem.key != dev_certificate(now).key);
}

TEST_CASE("a key may be encrypted when its password is told, and nobody else hears it", "[tls][certificates]") {
    static const Pem good = issue({"a.test", "DNS:a.test"});
    static const std::string key = with_passphrase(good);  // "secret"
    for (const char* password : {"secret", "secret\n", "secret\r\n", "secret\nand a second line\n"}) {
        CAPTURE(password);
        CHECK(load_certificate(good.chain, key, password).has_value());
    }
    CHECK(load_certificate(good.chain, good.key, "not needed").has_value());
    const auto [password, says] = GENERATE(table<std::string, std::string>({
        {"hush", "the password in it does not open the key"},
        {" secret", "the password in it does not open the key"},
        {"\nsecret", "the first line, which should be the password, is empty"},
        {std::string(5000, 'x'), "the password in it does not open the key"},
    }));
    const auto loaded = load_certificate(good.chain, key, password);
    REQUIRE(loaded.has_error());
    CHECK(loaded.error().message == says);
    CHECK(loaded.error().where == Where::password);
}

TEST_CASE("secrets are overwritten when they have been used", "[tls][certificates]") {
    Pem pem{"chain", "key", {}, {}, {}, "password", "name"};
    cleanse(pem);
    CHECK(pem == Pem{"chain", "", {}, {}, {}, "", "name"});
}

TEST_CASE("a development authority signs for this machine, and could sign for nobody else", "[tls][certificates]") {
    const auto now = std::chrono::system_clock::now();
    const Pem authority = dev_authority(now), other = dev_authority(now), leaf = dev_certificate(now, authority);
    const auto ca = load_certificate(authority.chain, authority.key);
    const auto stranger = load_certificate(other.chain, other.key);
    const auto loaded = load_certificate(leaf.chain, leaf.key);
    REQUIRE(ca.has_value());
    REQUIRE(stranger.has_value());
    REQUIRE(loaded.has_value());
    CHECK(loaded->info.names == std::vector<std::string>{"localhost", "*.localhost", "127.0.0.1", "::1"});
    CHECK(loaded->info.warnings.empty());
    CHECK(loaded->info.days_left(now) >= 29);
    CHECK_FALSE(loaded->info.self_signed);
    CHECK(ca->info.days_left(now) > 3000);
    CHECK(is_signed_by(*loaded, *ca));
    CHECK_FALSE(is_signed_by(*loaded, *stranger));
    CHECK(X509_check_ca(ca->leaf.get()) == 1);
    CHECK(dev_certificate(now, leaf).chain.empty());  // a leaf signs nothing
    CHECK(dev_certificate(now, {"x", "y"}).chain.empty());
}
