// SPDX-License-Identifier: Apache-2.0
#include "tls/context.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <utility>

#include "tls/client_auth.hpp"
#include "tls/ocsp.hpp"
#include "tls/overrides.hpp"
#include "tls/policy.hpp"
#include "tls/session.hpp"
#include "tls/tickets.hpp"

namespace edgeproxy::tls {
namespace {

/// A ticket lives no longer than its key surely does.
constexpr auto ticket_lifetime =
    std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::lifetime - TicketKeys::rotation);

CertificateError refused(const char* what) {
    char text[256] = "unknown reason";
    if (const unsigned long error = ERR_peek_last_error(); error != 0) ERR_error_string_n(error, text, sizeof text);
    ERR_clear_error();
    return {std::string(what) + ": " + text};
}

bool set_sessions(SSL_CTX* ctx, bool tickets, std::span<const unsigned char> session_context) {
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_recv_max_early_data(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_timeout(ctx, static_cast<long>(ticket_lifetime.count()));
    return SSL_CTX_set_num_tickets(ctx, tickets ? 1 : 0) == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context.data(), static_cast<unsigned>(session_context.size())) ==
               1;
}

CertificateResult<UniqueSslCtx> make_ctx(const Certificate& certificate, const config::Tls& tls,
                                         const ClientPolicy& policy) {
    UniqueSslCtx ctx{SSL_CTX_new(TLS_server_method())};
    if (!ctx || !set_policy(ctx.get(), tls.profile) || !set_sessions(ctx.get(), tls.tickets, policy.session))
        return refused("OpenSSL refused the settings");
    if (std::string why = set_overrides(ctx.get(), tls); !why.empty())
        return CertificateError{std::move(why), CertificateError::Where::settings};
    if (!set_certificate(ctx.get(), certificate)) return refused("OpenSSL refused the certificate");
    Session::set_callbacks(ctx.get());
    return ctx;
}

/// Staples the answer while it is young enough (RFC 8446, section 4.4.2.1).
int staple(SSL* ssl, void* argument) {
    const auto& answer = *static_cast<const Staple*>(argument);
    if (answer.der.empty() || answer.until <= std::chrono::system_clock::now()) return SSL_TLSEXT_ERR_NOACK;
    auto* const copy = static_cast<unsigned char*>(OPENSSL_memdup(answer.der.data(), answer.der.size()));
    if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(answer.der.size()));
    return SSL_TLSEXT_ERR_OK;
}

std::string_view alpn_name(config::Protocol protocol) {
    return protocol == config::Protocol::h2 ? "h2" : "http/1.1";
}

}  // namespace

/// One certificate with everything that its handshakes need. Handshakes that use it keep the Identities alive.
struct Identities::Served {
    UniqueSslCtx ctx;
    CertificateInfo info;
    Staple staple;
    std::uint64_t rules = 0;
};

CertificateResult<std::shared_ptr<const Identities::Served>> Identities::serve(const config::Tls& tls,
                                                                               std::size_t index, const Pem& pem) {
    const bool told = index < tls.certificates.size();
    const std::string name = told ? tls.certificates[index].cert : tls.dev ? "dev" : pem.name;
    const auto refused_as = [&](std::string message, CertificateError::Where where) {
        return CertificateError{std::move(message), where, index, name};
    };
    if (told && !tls.certificates[index].key_password_file.empty() && pem.password.empty())
        return refused_as(tls.certificates[index].key_password_file + ": the file is empty",
                          CertificateError::Where::password);
    auto certificate = load_certificate(pem.chain, pem.key, pem.password);
    if (!certificate) {
        const bool password = told && certificate.error().where == CertificateError::Where::password;
        return refused_as(
            (password ? tls.certificates[index].key_password_file + ": " : "") + certificate.error().message,
            certificate.error().where);
    }
    const config::ClientAuth& client_auth = client_auth_of(tls, index);
    const ClientPolicy policy = client_policy(client_auth, pem, name);
    auto ctx = make_ctx(*certificate, tls, policy);
    if (!ctx) return refused_as(ctx.error().message, ctx.error().where);
    auto made = std::make_shared<Served>();
    made->ctx = std::move(*ctx);
    made->rules = policy.rules;
    made->info = std::move(certificate->info);
    if (std::string why = set_client_auth(made->ctx.get(), client_auth, pem, made->info.warnings); !why.empty()) {
        const bool crl = why.starts_with("client_auth.crl");
        return refused_as(std::move(why),
                          crl ? CertificateError::Where::client_crl : CertificateError::Where::client_ca);
    }
    if (!pem.ocsp.empty()) {
        std::string why;
        made->staple = check_staple(pem.ocsp, *certificate, std::chrono::system_clock::now(), why);
        if (!why.empty()) made->info.warnings.push_back("the OCSP answer is not stapled: " + why);
        made->info.stapled_until = made->staple.until;
    }
    SSL_CTX_set_tlsext_status_cb(made->ctx.get(), staple);
    SSL_CTX_set_tlsext_status_arg(made->ctx.get(), const_cast<Staple*>(&made->staple));
    return std::shared_ptr<const Served>(std::move(made));
}

CertificateResult<std::shared_ptr<const Identities>> Identities::load(const config::Tls& tls, std::span<const Pem> pems,
                                                                      const TicketKeys& tickets) {
    std::shared_ptr<Identities> made{new Identities(tls, tickets)};
    if (pems.empty()) return CertificateError{"there is no certificate"};
    for (std::size_t i = 0; i < pems.size(); ++i) {
        if (i >= tls.certificates.size() && pems[i].chain.empty()) {
            made->served_.emplace_back();
            continue;
        }
        auto served = serve(tls, i, pems[i]);
        if (!served) return served.error();
        made->served_.push_back(std::move(*served));
    }
    if (!made->has_any()) return CertificateError{"there is no certificate"};
    made->finish();
    return std::shared_ptr<const Identities>(std::move(made));
}

bool Identities::has_any() const {
    return std::any_of(served_.begin(), served_.end(), [](const auto& one) { return one != nullptr; });
}

/// Takes one of them out. False: it is the last.
bool Identities::remove(std::size_t index) {
    const auto taken = std::exchange(served_[index], nullptr);
    if (has_any()) return true;
    served_[index] = taken;
    return false;
}

std::shared_ptr<const Identities> Identities::replaced(std::span<const Replacement> replacements,
                                                       std::vector<CertificateError>& refused) const {
    std::shared_ptr<Identities> made{new Identities(tls_, tickets_)};
    made->served_ = served_;
    bool changed = false;
    for (const Replacement& replacement : replacements) {
        const bool found_in_dir = !tls_.dir.empty() && replacement.index >= tls_.certificates.size();
        if (replacement.index >= served_.size() && !found_in_dir) continue;
        if (replacement.index >= made->served_.size()) made->served_.resize(replacement.index + 1);
        if (replacement.gone) {
            if (made->served_[replacement.index] == nullptr) continue;
            if (made->remove(replacement.index)) {
                changed = true;
            } else {
                refused.push_back({"its files are gone, but it is the last one", CertificateError::Where::both,
                                   replacement.index, replacement.pem.name});
            }
            continue;
        }
        auto served = serve(tls_, replacement.index, replacement.pem);
        if (!served) {
            refused.push_back(served.error());
        } else {
            made->served_[replacement.index] = std::move(*served);
            changed = true;
        }
    }
    if (!changed) return nullptr;
    made->finish();
    return made;
}

void Identities::finish() {
    default_ = NameIndex::none;
    for (std::size_t i = 0; i < served_.size(); ++i) {
        infos_.push_back(served_[i] ? served_[i]->info : CertificateInfo{});
        if (!served_[i]) continue;
        const bool told = i < tls_.certificates.size();
        if (default_ == NameIndex::none || (told && tls_.certificates[i].is_default)) default_ = i;
        const bool named = told && !tls_.certificates[i].hosts.empty();
        for (const std::string& name : named ? tls_.certificates[i].hosts : infos_[i].names) names_.add(name, i);
    }
    names_.finish();
    const std::uint64_t rules = served_[default_]->rules;
    const bool all = std::all_of(served_.begin(), served_.end(),
                                 [&](const auto& one) { return one == nullptr || one->rules == rules; });
    only_rules_ = all ? rules : 0;
}

SSL_CTX* Identities::ssl_ctx(std::size_t index) const {
    return served_[index]->ctx.get();
}

std::uint64_t Identities::rules(std::size_t index) const {
    return served_[index]->rules;
}

bool Identities::admits(std::uint64_t rules, std::string_view host) const {
    if (rules == only_rules_) return true;
    const std::size_t index = names_.find(host);
    return rules == served_[index == NameIndex::none ? default_ : index]->rules;
}

std::size_t Identities::choose(std::string_view host) const {
    if (host.empty()) return default_;
    const std::size_t found = names_.find(host);
    if (found != NameIndex::none) return found;
    return tls_.unknown_host == config::UnknownHost::reject ? NameIndex::none : default_;
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
