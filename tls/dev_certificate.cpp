// SPDX-License-Identifier: Apache-2.0
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "tls/certificates.hpp"

namespace edgeproxy::tls {
namespace {

constexpr auto lifetime = std::chrono::hours(24 * 30), authority_lifetime = std::chrono::hours(24 * 3650);
constexpr const char* organization = "edgeproxy development";
/// RFC 5280, section 4.2.1.10: whoever has the authority's key can stand in for nobody else.
constexpr const char* constraints =
    "critical,permitted;DNS:localhost,permitted;DNS:test,permitted;IP:127.0.0.0/255.0.0.0,"
    "permitted;IP:0:0:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF";
constexpr auto clock_slack = std::chrono::hours(1);

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

bool extend(X509* certificate, X509* issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value)};
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
    const Number number{BN_new()};
    return number && BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_subject(X509* certificate, const char* common_name) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto add = [name](const char* field, const char* text) {
        return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text), -1,
                                          -1, 0) == 1;
    };
    return add("O", organization) && add("CN", common_name);
}

bool set_validity(X509* certificate, CertificateInfo::Time now, std::chrono::hours length) {
    const auto from = std::chrono::system_clock::to_time_t(now - clock_slack);
    const auto until = std::chrono::system_clock::to_time_t(now + length);
    return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), until) != nullptr;
}

/// What both kinds have; the subject is the issuer until somebody else signs.
UniqueX509 blank(EVP_PKEY* key, const char* common_name, CertificateInfo::Time now, std::chrono::hours length) {
    UniqueX509 certificate{X509_new()};
    X509* c = certificate.get();
    const bool made = c != nullptr && X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) &&
                      set_subject(c, common_name) && X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 &&
                      set_validity(c, now, length) && X509_set_pubkey(c, key) == 1 &&
                      extend(c, c, NID_subject_key_identifier, "hash");
    return made ? std::move(certificate) : UniqueX509{};
}

UniqueX509 make_authority(EVP_PKEY* key, CertificateInfo::Time now) {
    UniqueX509 certificate = blank(key, "edgeproxy development CA", now, authority_lifetime);
    X509* c = certificate.get();
    const bool made = c != nullptr && extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                      extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                      extend(c, c, NID_name_constraints, constraints) && X509_sign(c, key, EVP_sha256()) > 0;
    return made ? std::move(certificate) : UniqueX509{};
}

/// Without an authority it signs itself.
UniqueX509 make_leaf(EVP_PKEY* key, CertificateInfo::Time now, const Certificate* authority) {
    UniqueX509 certificate = blank(key, "localhost", now, lifetime);
    X509* c = certificate.get();
    if (c == nullptr) return {};
    X509* const issuer = authority != nullptr ? authority->leaf.get() : c;
    EVP_PKEY* const signer = authority != nullptr ? authority->key.get() : key;
    const bool made = X509_set_issuer_name(c, X509_get_subject_name(issuer)) == 1 &&
                      extend(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
                      extend(c, issuer, NID_key_usage, "critical,digitalSignature") &&
                      extend(c, issuer, NID_ext_key_usage, "serverAuth") &&
                      extend(c, issuer, NID_subject_alt_name, "DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1") &&
                      (authority == nullptr || extend(c, issuer, NID_authority_key_identifier, "keyid")) &&
                      X509_sign(c, signer, EVP_sha256()) > 0;
    return made ? std::move(certificate) : UniqueX509{};
}

std::string contents(BIO* out) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    return {data, static_cast<std::size_t>(size)};
}

Pem written(X509* certificate, EVP_PKEY* key) {
    const UniqueBio chain{BIO_new(BIO_s_mem())}, secret{BIO_new(BIO_s_secmem())};
    const bool done = certificate != nullptr && PEM_write_bio_X509(chain.get(), certificate) == 1 &&
                      PEM_write_bio_PKCS8PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1;
    ERR_clear_error();
    if (!done) return {};
    return {contents(chain.get()), contents(secret.get())};
}

}  // namespace

Pem dev_certificate(CertificateInfo::Time now) {
    const UniqueKey key{EVP_EC_gen("P-256")};
    return written(key ? make_leaf(key.get(), now, nullptr).get() : nullptr, key.get());
}

Pem dev_authority(CertificateInfo::Time now) {
    const UniqueKey key{EVP_EC_gen("P-256")};
    return written(key ? make_authority(key.get(), now).get() : nullptr, key.get());
}

Pem dev_certificate(CertificateInfo::Time now, const Pem& authority) {
    const auto signer = load_certificate(authority.chain, authority.key);
    const UniqueKey key{EVP_EC_gen("P-256")};
    if (!signer || !key || X509_check_ca(signer->leaf.get()) != 1) return {};
    Pem made = written(make_leaf(key.get(), now, &*signer).get(), key.get());
    if (!made.chain.empty()) made.chain += authority.chain;
    return made;
}

bool is_signed_by(const Certificate& certificate, const Certificate& authority) {
    const bool its = X509_verify(certificate.leaf.get(), X509_get0_pubkey(authority.leaf.get())) == 1;
    ERR_clear_error();
    return its;
}

}  // namespace edgeproxy::tls
