// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tls/certificates.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// What is asked of the clients that a certificate is served to (`client_auth`), in two numbers.
struct ClientPolicy {
    /// The rules as the configuration has them: equal means that a connection made under one may be used under the
    /// other. Never 0. New contents of the same files do not change it.
    std::uint64_t rules = 0;
    /// The rules, the contents of their files and the certificate that they belong to: sessions resume within one of
    /// these only, because a resumed handshake looks at no certificate again.
    std::array<unsigned char, 32> session{};
};

/// The rules of the certificate at `index`: its own, or those of all.
const config::ClientAuth& client_auth_of(const config::Tls& tls, std::size_t index);

/// `name` stands for the certificate: the path of its file.
ClientPolicy client_policy(const config::ClientAuth& wanted, const Pem& pem, const std::string& name);

/// Makes `ctx` ask its clients for a certificate, and verify what comes against `pem.client_ca` (an intermediate in it
/// is as good as a root) and `pem.client_crl`. Empty, or why the files cannot be used; `warnings` gets what is odd.
std::string set_client_auth(SSL_CTX* ctx, const config::ClientAuth& wanted, const Pem& pem,
                            std::vector<std::string>& warnings);

}  // namespace edgeproxy::tls
