// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// Whom a client's certificate names. All texts are printable ASCII without spaces at their ends, fit to be a header
/// value whatever the certificate says: other bytes stand as `\XX` (names of X.500) or `%XX`.
struct ClientIdentity {
    static constexpr std::size_t longest = 1024;  ///< bytes of one text; a certificate that needs more names nobody

    std::string subject;      ///< RFC 2253, "CN=device 7,O=Example"
    std::string issuer;       ///< the same
    std::string serial;       ///< hexadecimal, upper case
    std::string fingerprint;  ///< SHA-256 of the DER, hexadecimal, lower case
    std::string names;        ///< subject alternative names, "DNS:a.test,URI:spiffe://x/y,email:a@b.test"
};

/// The identity of a verified client certificate; null when there is none, when it is too long, or without memory.
std::unique_ptr<const ClientIdentity> client_identity(const SSL* ssl);

}  // namespace edgeproxy::tls
