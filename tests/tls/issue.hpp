// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tls/certificates.hpp"

namespace edgeproxy::tls {

/// What a test certificate shall say.
struct Wanted {
    std::string common_name;
    std::string names{};  ///< as openssl.cnf writes a SAN: "DNS:a.test,IP:127.0.0.1"; empty = no SAN
    enum class Key { ec, rsa1024, rsa2048, ed25519 } key = Key::ec;
    long days = 90;
    const Pem* issuer = nullptr;  ///< null = self-signed
    bool authority = false;       ///< may issue others
    long serial = 1;
};

/// A certificate and its key, made on the spot.
Pem issue(const Wanted& wanted);

/// The key again, protected by a passphrase.
std::string with_passphrase(const Pem& pem);

std::string to_der(const Pem& pem);

/// A revocation list of `authority` with these serial numbers, PEM; until `days` from now.
std::string revoke(const Pem& authority, const std::vector<long>& serials, long days = 1);

/// An OCSP answer of `authority` about `pem`, DER; `seconds`: until its nextUpdate.
std::string ocsp_answer(const Pem& pem, const Pem& authority, bool good = true, long seconds = 3600);

}  // namespace edgeproxy::tls
