// SPDX-License-Identifier: Apache-2.0
#include "tls/context.hpp"

#include <openssl/err.h>

#include "tls/session.hpp"
#include "tls/tickets.hpp"

namespace edgeproxy::tls {
namespace {

// Mozilla's server side TLS guidelines, without the finite-field DHE suites: they cost the server most and the client
// nothing.
constexpr const char* tls12_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* tls13_ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* groups = "X25519:P-256:P-384";
constexpr std::string_view session_context = "edgeproxy";
/// A ticket lives no longer than its key surely does.
constexpr auto ticket_lifetime =
    std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::lifetime - TicketKeys::rotation);

CertificateError refused(const char* what) {
    char text[256] = "unknown reason";
    if (const unsigned long error = ERR_peek_last_error(); error != 0) ERR_error_string_n(error, text, sizeof text);
    ERR_clear_error();
    return {std::string(what) + ": " + text};
}

bool set_policy(SSL_CTX* ctx, const config::Tls& tls) {
    const bool modern = tls.profile == config::TlsProfile::modern;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0);
    return SSL_CTX_set_min_proto_version(ctx, modern ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, tls12_ciphers) == 1 && SSL_CTX_set_ciphersuites(ctx, tls13_ciphers) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1;
}

bool set_sessions(SSL_CTX* ctx, bool tickets) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_timeout(ctx, static_cast<long>(ticket_lifetime.count()));
    return SSL_CTX_set_num_tickets(ctx, tickets ? 1 : 0) == 1 &&
           SSL_CTX_set_session_id_context(ctx, reinterpret_cast<const unsigned char*>(session_context.data()),
                                          static_cast<unsigned>(session_context.size())) == 1;
}

bool set_certificate(SSL_CTX* ctx, const Certificate& certificate) {
    if (SSL_CTX_use_certificate(ctx, certificate.leaf.get()) != 1) return false;
    if (SSL_CTX_use_PrivateKey(ctx, certificate.key.get()) != 1) return false;
    for (const UniqueX509& intermediate : certificate.intermediates) {
        if (SSL_CTX_add1_chain_cert(ctx, intermediate.get()) != 1) return false;
    }
    return true;
}

CertificateResult<UniqueSslCtx> make_ctx(const Certificate& certificate, const config::Tls& tls) {
    UniqueSslCtx ctx{SSL_CTX_new(TLS_server_method())};
    if (!ctx || !set_policy(ctx.get(), tls) || !set_sessions(ctx.get(), tls.tickets))
        return refused("OpenSSL refused the settings");
    if (!set_certificate(ctx.get(), certificate)) return refused("OpenSSL refused the certificate");
    Session::set_callbacks(ctx.get());
    return ctx;
}

std::string_view alpn_name(config::Protocol protocol) {
    return protocol == config::Protocol::h2 ? "h2" : "http/1.1";
}

}  // namespace

CertificateResult<std::shared_ptr<const Identities>> Identities::load(const config::Tls& tls, std::span<const Pem> pems,
                                                                      const TicketKeys& tickets) {
    if (pems.empty()) return CertificateError{"no certificate is configured"};
    std::shared_ptr<Identities> made{new Identities(tickets)};
    made->unknown_host_ = tls.unknown_host;
    for (std::size_t i = 0; i < pems.size(); ++i) {
        auto certificate = load_certificate(pems[i].chain, pems[i].key);
        if (!certificate) return CertificateError{certificate.error().message, certificate.error().where, i};
        auto ctx = make_ctx(*certificate, tls);
        if (!ctx) return CertificateError{ctx.error().message, ctx.error().where, i};
        const bool told = i < tls.certificates.size() && !tls.certificates[i].hosts.empty();
        for (const std::string& name : told ? tls.certificates[i].hosts : certificate->info.names)
            made->names_.add(name, i);
        made->contexts_.push_back(std::move(*ctx));
        made->infos_.push_back(std::move(certificate->info));
    }
    made->names_.finish();
    return std::shared_ptr<const Identities>(std::move(made));
}

std::size_t Identities::choose(std::string_view host) const {
    if (host.empty()) return 0;
    const std::size_t found = names_.find(host);
    if (found != NameIndex::none) return found;
    return unknown_host_ == config::UnknownHost::reject ? NameIndex::none : 0;
}

Context::Context(std::shared_ptr<const Identities> identities, std::span<const config::Protocol> protocols)
    : identities_(std::move(identities)) {
    for (const config::Protocol protocol : protocols) protocols_.push_back(alpn_name(protocol));
}

std::string_view Context::choose_protocol(std::string_view offered) const {
    for (const std::string_view ours : protocols_) {
        for (std::size_t at = 0; at < offered.size();) {
            const auto size = static_cast<std::size_t>(static_cast<unsigned char>(offered[at]));
            if (offered.substr(at + 1, size) == ours) return ours;
            at += 1 + size;
        }
    }
    return {};
}

}  // namespace edgeproxy::tls
