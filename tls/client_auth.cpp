// SPDX-License-Identifier: Apache-2.0
#include "tls/client_auth.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <cstring>
#include <string_view>

namespace edgeproxy::tls {
namespace {

using UniqueStore = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using UniqueCrl = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;

std::array<unsigned char, 32> digest(const std::string& text) {
    std::array<unsigned char, 32> out{};
    std::size_t size = 0;
    static_cast<void>(EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), out.data(), &size));
    return out;
}

/// Its length stands before each part, so that no two lists of parts look the same.
void append(std::string& text, std::string_view part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
}

std::string rules_of(const config::ClientAuth& wanted) {
    std::string text;
    append(text, std::to_string(static_cast<unsigned>(wanted.mode)));
    if (wanted.mode == config::ClientAuthMode::none) return text;
    append(text, wanted.ca);
    append(text, wanted.crl);
    append(text, std::to_string(wanted.depth));
    return text;
}

UniqueBio memory(std::string_view bytes) {
    return UniqueBio{BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))};
}

/// After the last block of a file; anything else in OpenSSL's queue means a block that is broken.
bool ended() {
    const unsigned long error = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

std::string add_authorities(SSL_CTX* ctx, X509_STORE* store, std::string_view pem) {
    const UniqueBio in = memory(pem);
    std::size_t count = 0;
    while (const UniqueX509 authority{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
        if (X509_STORE_add_cert(store, authority.get()) != 1 || SSL_CTX_add_client_CA(ctx, authority.get()) != 1)
            return "OpenSSL refuses certificate number " + std::to_string(count + 1);
        ++count;
    }
    if (!ended()) return "certificate number " + std::to_string(count + 1) + " in it is damaged";
    return count == 0 ? "no certificate in it" : "";
}

std::string add_revocations(X509_STORE* store, std::string_view pem, std::vector<std::string>& warnings) {
    const UniqueBio in = memory(pem);
    std::size_t count = 0;
    while (const UniqueCrl list{PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr)}) {
        if (X509_STORE_add_crl(store, list.get()) != 1)
            return "OpenSSL refuses revocation list number " + std::to_string(count + 1);
        const ASN1_TIME* const until = X509_CRL_get0_nextUpdate(list.get());
        if (until != nullptr && X509_cmp_current_time(until) < 0)
            warnings.emplace_back("a client revocation list has expired: clients of its authority are refused");
        ++count;
    }
    if (!ended()) return "revocation list number " + std::to_string(count + 1) + " in it is damaged";
    if (count == 0) return "no revocation list in it (expected a block that begins with -----BEGIN X509 CRL-----)";
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return {};
}

}  // namespace

const config::ClientAuth& client_auth_of(const config::Tls& tls, std::size_t index) {
    const bool own = index < tls.certificates.size() && tls.certificates[index].client_auth.has_value();
    return own ? *tls.certificates[index].client_auth : tls.client_auth;
}

ClientPolicy client_policy(const config::ClientAuth& wanted, const Pem& pem, const std::string& name) {
    ClientPolicy policy;
    std::string text = rules_of(wanted);
    const auto rules = digest(text);
    std::memcpy(&policy.rules, rules.data(), sizeof policy.rules);
    if (policy.rules == 0) policy.rules = 1;
    append(text, name);
    if (wanted.mode != config::ClientAuthMode::none) {
        append(text, pem.client_ca);
        append(text, pem.client_crl);
    }
    policy.session = digest(text);
    return policy;
}

std::string set_client_auth(SSL_CTX* ctx, const config::ClientAuth& wanted, const Pem& pem,
                            std::vector<std::string>& warnings) {
    if (wanted.mode == config::ClientAuthMode::none) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
        return {};
    }
    const UniqueStore store{X509_STORE_new()};
    if (!store) return "out of memory";
    // Not the context's own store, from which OpenSSL would complete our chain.
    if (SSL_CTX_set1_verify_cert_store(ctx, store.get()) != 1) return "out of memory";
    X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
    if (std::string why = add_authorities(ctx, store.get(), pem.client_ca); !why.empty())
        return "client_auth.ca: " + why;
    if (!wanted.crl.empty()) {
        if (std::string why = add_revocations(store.get(), pem.client_crl, warnings); !why.empty())
            return "client_auth.crl: " + why;
    }
    const bool required = wanted.mode == config::ClientAuthMode::require;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    SSL_CTX_set_verify_depth(ctx, static_cast<int>(wanted.depth));
    return {};
}

}  // namespace edgeproxy::tls
