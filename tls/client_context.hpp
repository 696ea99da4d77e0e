// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "tls/certificates.hpp"
#include "tls/error.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// How we behave as a client of TLS. Key material: never log.
struct ClientSettings {
    std::string roots;      ///< PEM certificates to believe; empty = the system's
    Pem own;                ///< our certificate, for peers that ask; empty texts = none
    bool insecure = false;  ///< verify nothing
    bool operator==(const ClientSettings&) const = default;
};

/// The session with one peer that may be resumed: the last ticket it gave (RFC 8446, section 4.6.1). One thread.
class Resumption {
 public:
    void keep(SSL_SESSION* session) { session_.reset(session); }
    SSL_SESSION* session() const { return session_.get(); }

 private:
    std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>> session_;
};

/// Whom a connection is for.
struct ClientPeer {
    std::string_view host;       ///< the name or IP literal that its certificate must carry; a name is sent as SNI
    std::string_view protocols;  ///< offered by ALPN, in wire form (RFC 7301, section 3.1); empty = no ALPN
    std::shared_ptr<Resumption> resumption;  ///< may be null
};

/// What the client side of TLS towards some peers needs: an SSL_CTX with the roots to believe and our own certificate.
///
/// TLS 1.2 or later with the suites of the server side. The peer's chain is verified, and its name by every
/// connection. Built off the reactors, immutable after that, shared by all of them; connections keep what they use
/// alive by themselves.
class ClientContext {
 public:
    /// Gives the reason as a sentence without file names.
    static CertificateResult<std::shared_ptr<const ClientContext>> load(const ClientSettings& settings);

    /// A fresh connection to `peer`, without BIOs. Null when OpenSSL has no memory.
    UniqueSsl make(const ClientPeer& peer) const;

 private:
    ClientContext() = default;
    UniqueSslCtx ctx_;
    bool insecure_ = false;
};

/// What is wrong with the peer's certificate, after a handshake that failed for it.
errc certificate_error(const SSL* ssl);

inline constexpr std::string_view offer_http1{"\x08http/1.1", 9};
inline constexpr std::string_view offer_h2{"\x02h2", 3};
inline constexpr std::string_view offer_both{"\x02h2\x08http/1.1", 12};

}  // namespace edgeproxy::tls
