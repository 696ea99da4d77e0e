// SPDX-License-Identifier: Apache-2.0
// What OpenSSL asks a session during its handshake.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "tls/context.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"
#include "tls/tickets.hpp"

namespace edgeproxy::tls {
namespace {

bool set_mac_key(EVP_MAC_CTX* mac, TicketKeys::Key& key) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/// The host name of the ClientHello's SNI (RFC 6066, section 3); empty when there is none, or nonsense, which OpenSSL
/// refuses itself later.
std::string_view server_name(SSL* ssl) {
    constexpr std::size_t head = 5;  // bytes of the list, type, bytes of the name
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1 || size <= head) return {};
    const auto number = [data](std::size_t at) { return std::size_t{data[at]} << 8 | data[at + 1]; };
    if (number(0) != size - 2 || data[2] != TLSEXT_NAMETYPE_host_name || number(3) != size - head) return {};
    return {reinterpret_cast<const char*>(data) + head, size - head};
}

/// The results of OpenSSL's ticket callback.
enum Answer : int { broken = -1, unknown_key = 0, accepted = 1, accepted_but_renew = 2 };

}  // namespace

struct Session::Callbacks {
    static Session& session(const SSL* ssl) { return *static_cast<Session*>(SSL_get_app_data(ssl)); }

    /// Chooses the certificate and its rules before OpenSSL looks at anything else of the ClientHello: at its ticket,
    /// say, which must be one of these rules.
    static int hello(SSL* ssl, int* alert, void*) {
        Session& self = session(ssl);
        if (self.context_ == nullptr) return SSL_CLIENT_HELLO_ERROR;
        const Identities& identities = self.context_->identities();
        const std::size_t index = identities.choose(server_name(ssl));
        if (index == NameIndex::none) {
            self.refusal_ = errc::unknown_host;
            *alert = SSL_AD_UNRECOGNIZED_NAME;
            return SSL_CLIENT_HELLO_ERROR;
        }
        SSL_CTX* const chosen = identities.ssl_ctx(index);
        // The context of sessions comes with it; what is asked of clients does not.
        if (SSL_set_SSL_CTX(ssl, chosen) == nullptr) return SSL_CLIENT_HELLO_ERROR;
        const int mode = SSL_CTX_get_verify_mode(chosen);
        SSL_set_verify(ssl, mode, nullptr);
        SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(chosen));
        self.rules_ = identities.rules(index);
        self.most_received_ = mode == SSL_VERIFY_NONE ? max_handshake : max_with_certificate;
        return SSL_CLIENT_HELLO_SUCCESS;
    }

    /// Says that the name was understood (RFC 6066, section 3).
    static int named(SSL* ssl, int*, void*) {
        return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != nullptr ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
    }

    static int protocol(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                        unsigned offered_size, void*) {
        Session& self = session(ssl);
        if (self.context_ == nullptr) return SSL_TLSEXT_ERR_NOACK;
        const auto chosen =
            self.context_->choose_protocol({reinterpret_cast<const char*>(offered), std::size_t{offered_size}});
        if (chosen.empty()) return SSL_TLSEXT_ERR_ALERT_FATAL;
        *out = reinterpret_cast<const unsigned char*>(chosen.data());
        *size = static_cast<unsigned char>(chosen.size());
        return SSL_TLSEXT_ERR_OK;
    }

    static int ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                      int encrypting) {
        const Session& self = session(ssl);
        if (self.context_ == nullptr) return unknown_key;
        const TicketKeys& tickets = self.context_->identities().tickets();
        TicketKeys::Key key;
        bool current = true;
        int answer = broken;
        if (encrypting != 0) {
            key = tickets.current();
            std::memcpy(name, key.name.data(), key.name.size());
            const bool ready = RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 && set_mac_key(mac, key) &&
                               EVP_EncryptInit_ex2(cipher, tickets.cipher(), key.cipher.data(), iv, nullptr) == 1;
            answer = ready ? accepted : broken;
        } else if (tickets.find(std::span<const std::uint8_t, TicketKeys::name_size>(name, TicketKeys::name_size), key,
                                current)) {
            const bool ready = set_mac_key(mac, key) &&
                               EVP_DecryptInit_ex2(cipher, tickets.cipher(), key.cipher.data(), iv, nullptr) == 1;
            // In TLS 1.3 clients use a ticket once (RFC 8446, section C.4), so each brings them the next.
            const bool renew = !current || SSL_version(ssl) >= TLS1_3_VERSION;
            answer = !ready ? broken : renew ? accepted_but_renew : accepted;
        } else {
            answer = unknown_key;
        }
        OPENSSL_cleanse(&key, sizeof key);
        return answer;
    }

    /// Counts what makes work without carrying data: KeyUpdate, tickets of a server, warning alerts, and a
    /// renegotiation of TLS 1.2 (refused by OpenSSL).
    static void state_changed(const SSL* ssl, int where, int value) {
        bool talk = false;
        if ((where & SSL_CB_LOOP) != 0) {
            const OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
            talk = state == TLS_ST_SR_KEY_UPDATE || state == TLS_ST_CR_KEY_UPDATE || state == TLS_ST_CR_SESSION_TICKET;
        }
        const bool warning =
            where == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_WARNING && (value & 0xff) != SSL_AD_CLOSE_NOTIFY;
        const bool ours = SSL_get_app_data(ssl) != nullptr;  // not a MemoryClient's
        if (ours && (talk || warning || where == SSL_CB_HANDSHAKE_START)) session(ssl).glitch();
    }

    static int new_session(SSL* ssl, SSL_SESSION* made) {
        if (SSL_get_app_data(ssl) == nullptr) return 0;
        Session& self = session(ssl);
        if (!self.resumption_) return 0;
        self.resumption_->keep(made);
        return 1;  // its reference is ours now
    }
};

void Session::set_callbacks(SSL_CTX* ctx) {
    SSL_CTX_set_client_hello_cb(ctx, Callbacks::hello, nullptr);
    SSL_CTX_set_tlsext_servername_callback(ctx, Callbacks::named);
    SSL_CTX_set_alpn_select_cb(ctx, Callbacks::protocol, nullptr);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, Callbacks::ticket);
    SSL_CTX_set_info_callback(ctx, Callbacks::state_changed);
}

void Session::set_client_callbacks(SSL_CTX* ctx) {
    SSL_CTX_set_info_callback(ctx, Callbacks::state_changed);
    SSL_CTX_sess_set_new_cb(ctx, Callbacks::new_session);
}

}  // namespace edgeproxy::tls
