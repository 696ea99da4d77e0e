// SPDX-License-Identifier: Apache-2.0
#include "issue.hpp"

#include <openssl/ec.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace edgeproxy::tls {
namespace {

std::string take(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

UniqueKey make_key(Wanted::Key kind) {
    switch (kind) {
        case Wanted::Key::ec:
            return UniqueKey{EVP_EC_gen("P-256")};
        case Wanted::Key::rsa1024:
            return UniqueKey{EVP_RSA_gen(1024)};
        case Wanted::Key::rsa2048:
            return UniqueKey{EVP_RSA_gen(2048)};
        case Wanted::Key::ed25519:
            return UniqueKey{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
    }
    throw std::logic_error("kind of key");
}

std::string key_pem(EVP_PKEY* key, const char* passphrase) {
    const UniqueBio out{BIO_new(BIO_s_mem())};
    PEM_write_bio_PKCS8PrivateKey(out.get(), key, passphrase != nullptr ? EVP_aes_256_cbc() : nullptr, passphrase,
                                  passphrase != nullptr ? static_cast<int>(std::string(passphrase).size()) : 0, nullptr,
                                  nullptr);
    return take(out.get());
}

UniqueKey read_key(const Pem& pem) {
    const UniqueBio in{BIO_new_mem_buf(pem.key.data(), static_cast<int>(pem.key.size()))};
    return UniqueKey{PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr)};
}

UniqueX509 read_certificate(const Pem& pem) {
    const UniqueBio in{BIO_new_mem_buf(pem.chain.data(), static_cast<int>(pem.chain.size()))};
    return UniqueX509{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)};
}

void add(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    if (extension == nullptr) throw std::invalid_argument(value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

Pem issue(const Wanted& wanted) {
    const UniqueKey key = make_key(wanted.key);
    const UniqueX509 certificate{X509_new()};
    X509* c = certificate.get();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), wanted.serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -3600 - (wanted.days < 0 ? 86400 * 400 : 0));
    X509_gmtime_adj(X509_getm_notAfter(c), 86400 * wanted.days);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()), -1, -1, 0);
    X509_set_pubkey(c, key.get());
    if (!wanted.names.empty()) add(c, NID_subject_alt_name, wanted.names.c_str());
    if (wanted.authority) add(c, NID_basic_constraints, "critical,CA:TRUE");
    const UniqueKey issuer_key = wanted.issuer != nullptr ? read_key(*wanted.issuer) : UniqueKey{};
    const UniqueX509 issuer = wanted.issuer != nullptr ? read_certificate(*wanted.issuer) : UniqueX509{};
    X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer.get() : c));
    const bool ed25519 = wanted.key == Wanted::Key::ed25519 && !issuer;
    if (X509_sign(c, issuer_key ? issuer_key.get() : key.get(), ed25519 ? nullptr : EVP_sha256()) == 0)
        throw std::runtime_error("X509_sign");
    const UniqueBio out{BIO_new(BIO_s_mem())};
    PEM_write_bio_X509(out.get(), c);
    return {take(out.get()), key_pem(key.get(), nullptr)};
}

std::string with_passphrase(const Pem& pem) {
    return key_pem(read_key(pem).get(), "secret");
}

std::string to_der(const Pem& pem) {
    const UniqueBio out{BIO_new(BIO_s_mem())};
    i2d_X509_bio(out.get(), read_certificate(pem).get());
    return take(out.get());
}

std::string revoke(const Pem& authority, const std::vector<long>& serials, long days) {
    const UniqueX509 issuer = read_certificate(authority);
    const std::unique_ptr<X509_CRL, Free<X509_CRL_free>> list{X509_CRL_new()};
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.get()));
    const std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>> from{X509_gmtime_adj(nullptr, -7 * 86400)},
        until{X509_gmtime_adj(nullptr, days * 86400)};
    X509_CRL_set1_lastUpdate(list.get(), from.get());
    X509_CRL_set1_nextUpdate(list.get(), until.get());
    for (const long serial : serials) {
        const std::unique_ptr<ASN1_INTEGER, Free<ASN1_INTEGER_free>> number{ASN1_INTEGER_new()};
        ASN1_INTEGER_set(number.get(), serial);
        X509_REVOKED* const entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, number.get());
        X509_REVOKED_set_revocationDate(entry, from.get());
        X509_CRL_add0_revoked(list.get(), entry);
    }
    X509_CRL_sort(list.get());
    X509_CRL_sign(list.get(), read_key(authority).get(), EVP_sha256());
    const UniqueBio out{BIO_new(BIO_s_mem())};
    PEM_write_bio_X509_CRL(out.get(), list.get());
    return take(out.get());
}

std::string ocsp_answer(const Pem& pem, const Pem& authority, bool good, long seconds) {
    const UniqueX509 subject = read_certificate(pem), issuer = read_certificate(authority);
    const std::unique_ptr<OCSP_BASICRESP, Free<OCSP_BASICRESP_free>> basic{OCSP_BASICRESP_new()};
    const std::unique_ptr<OCSP_CERTID, Free<OCSP_CERTID_free>> id{
        OCSP_cert_to_id(nullptr, subject.get(), issuer.get())};
    const std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>> from{X509_gmtime_adj(nullptr, -7200)},
        until{X509_gmtime_adj(nullptr, seconds)};
    const std::unique_ptr<ASN1_GENERALIZEDTIME, Free<ASN1_GENERALIZEDTIME_free>> thisupd{
        ASN1_TIME_to_generalizedtime(from.get(), nullptr)},
        nextupd{ASN1_TIME_to_generalizedtime(until.get(), nullptr)};
    OCSP_basic_add1_status(basic.get(), id.get(), good ? V_OCSP_CERTSTATUS_GOOD : V_OCSP_CERTSTATUS_REVOKED,
                           OCSP_REVOKED_STATUS_UNSPECIFIED, good ? nullptr : thisupd.get(), thisupd.get(),
                           nextupd.get());
    OCSP_basic_sign(basic.get(), issuer.get(), read_key(authority).get(), EVP_sha256(), nullptr, OCSP_NOCERTS);
    const std::unique_ptr<OCSP_RESPONSE, Free<OCSP_RESPONSE_free>> answer{
        OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get())};
    const UniqueBio out{BIO_new(BIO_s_mem())};
    i2d_OCSP_RESPONSE_bio(out.get(), answer.get());
    return take(out.get());
}

}  // namespace edgeproxy::tls
