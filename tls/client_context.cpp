// SPDX-License-Identifier: Apache-2.0
#include "tls/client_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "config/address.hpp"
#include "tls/policy.hpp"
#include "tls/session.hpp"

namespace edgeproxy::tls {
namespace {

CertificateError refused(const char* what) {
    ERR_clear_error();
    return {what};
}

/// False when there is no certificate in the text, or something else than certificates.
bool add_roots(SSL_CTX* ctx, const std::string& pem) {
    const UniqueBio text{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
    X509_STORE* const store = SSL_CTX_get_cert_store(ctx);
    bool any = false;
    while (const UniqueX509 root{PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)}) {
        if (X509_STORE_add_cert(store, root.get()) != 1) return false;
        any = true;
    }
    ERR_clear_error();  // the end of the text
    return any;
}

/// Whom the certificate must be for, and what we ask for (RFC 6066, section 3: no literals in SNI).
bool name_peer(SSL* ssl, const std::string& host, bool insecure) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    const bool literal = config::parse_ip(host).has_value();
    if (!literal && !host.empty() && SSL_set_tlsext_host_name(ssl, host.c_str()) != 1) return false;
    if (insecure) return true;
    if (literal) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
    return SSL_set1_host(ssl, host.c_str()) == 1;
}

}  // namespace

UniqueSsl ClientContext::make(const ClientPeer& peer) const {
    UniqueSsl ssl{SSL_new(ctx_.get())};
    bool ready = ssl && name_peer(ssl.get(), std::string(peer.host), insecure_);
    if (ready && !peer.protocols.empty()) {
        ready = SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(peer.protocols.data()),
                                    static_cast<unsigned>(peer.protocols.size())) == 0;
    }
    if (ready && peer.resumption && peer.resumption->session() != nullptr)
        ready = SSL_set_session(ssl.get(), peer.resumption->session()) == 1;
    if (ready) {
        SSL_set_connect_state(ssl.get());
    } else {
        ERR_clear_error();
        ssl.reset();
    }
    return ssl;
}

errc certificate_error(const SSL* ssl) {
    switch (SSL_get_verify_result(ssl)) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return errc::certificate_wrong_host;
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return errc::certificate_expired;
        default:
            return errc::certificate_untrusted;
    }
}

CertificateResult<std::shared_ptr<const ClientContext>> ClientContext::load(const ClientSettings& settings) {
    std::shared_ptr<ClientContext> made{new ClientContext};
    made->insecure_ = settings.insecure;
    made->ctx_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* const ctx = made->ctx_.get();
    if (ctx == nullptr || !set_policy(ctx, config::TlsProfile::intermediate))
        return refused("OpenSSL refused the settings");
    // The callback hands each new session to its connection; OpenSSL's own cache would be one for all peers.
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    Session::set_client_callbacks(ctx);
    if (!settings.own.chain.empty()) {
        const auto own = load_certificate(settings.own.chain, settings.own.key);
        if (!own) return own.error();
        if (!set_certificate(ctx, *own)) return refused("OpenSSL refused our certificate");
    }
    if (settings.insecure) return std::shared_ptr<const ClientContext>(std::move(made));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    if (!settings.roots.empty()) {
        if (!add_roots(ctx, settings.roots)) return refused("the roots hold no certificate in PEM");
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return refused("the system's roots cannot be read");
    }
    return std::shared_ptr<const ClientContext>(std::move(made));
}

}  // namespace edgeproxy::tls
