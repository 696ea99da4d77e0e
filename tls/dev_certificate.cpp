// SPDX-License-Identifier: Apache-2.0
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "tls/certificates.hpp"

namespace edgeproxy::tls {
namespace {

constexpr auto lifetime = std::chrono::hours(24 * 30);
constexpr auto clock_slack = std::chrono::hours(1);

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

bool extend(X509* certificate, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const Extension extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value)};
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
    const Number number{BN_new()};
    return number && BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509* certificate) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto add = [name](const char* field, const char* text) {
        return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text), -1,
                                          -1, 0) == 1;
    };
    return add("O", "edgeproxy development certificate") && add("CN", "localhost") &&
           X509_set_issuer_name(certificate, name) == 1;
}

bool set_validity(X509* certificate, CertificateInfo::Time now) {
    const auto from = std::chrono::system_clock::to_time_t(now - clock_slack);
    const auto until = std::chrono::system_clock::to_time_t(now + lifetime);
    return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), until) != nullptr;
}

UniqueX509 make(EVP_PKEY* key, CertificateInfo::Time now) {
    UniqueX509 certificate{X509_new()};
    X509* c = certificate.get();
    const bool made =
        c != nullptr && X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) && set_name(c) &&
        set_validity(c, now) && X509_set_pubkey(c, key) == 1 && extend(c, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(c, NID_key_usage, "critical,digitalSignature") && extend(c, NID_ext_key_usage, "serverAuth") &&
        extend(c, NID_subject_alt_name, "DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1") &&
        extend(c, NID_subject_key_identifier, "hash") && X509_sign(c, key, EVP_sha256()) > 0;
    return made ? std::move(certificate) : UniqueX509{};
}

std::string contents(BIO* out) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace

Pem dev_certificate(CertificateInfo::Time now) {
    const UniqueKey key{EVP_EC_gen("P-256")};
    const UniqueX509 certificate = key ? make(key.get(), now) : UniqueX509{};
    const UniqueBio chain{BIO_new(BIO_s_mem())}, secret{BIO_new(BIO_s_secmem())};
    const bool written = certificate && PEM_write_bio_X509(chain.get(), certificate.get()) == 1 &&
                         PEM_write_bio_PKCS8PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    ERR_clear_error();
    if (!written) return {};
    return {contents(chain.get()), contents(secret.get())};
}

}  // namespace edgeproxy::tls
