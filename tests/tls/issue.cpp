// SPDX-License-Identifier: Apache-2.0
#include "issue.hpp"

#include <openssl/ec.h>
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

void add_names(X509* certificate, const std::string& names) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    if (extension == nullptr) throw std::invalid_argument("names " + names);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

Pem issue(const Wanted& wanted) {
    const UniqueKey key = make_key(wanted.key);
    const UniqueX509 certificate{X509_new()};
    X509* c = certificate.get();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
    X509_gmtime_adj(X509_getm_notBefore(c), -3600 - (wanted.days < 0 ? 86400 * 400 : 0));
    X509_gmtime_adj(X509_getm_notAfter(c), 86400 * wanted.days);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()), -1, -1, 0);
    X509_set_pubkey(c, key.get());
    if (!wanted.names.empty()) add_names(c, wanted.names);
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

}  // namespace edgeproxy::tls
