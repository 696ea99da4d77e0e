// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "config/config.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// Lays `min_version`, `ciphers` and `groups` of the configuration over the profile's; the order of suites is ours, but
/// a client that puts ChaCha20 first gets it. Empty, or a sentence about the first value that cannot be used: a name
/// that OpenSSL does not know, or a suite that nobody should speak any more (without encryption, without
/// authentication, under 128 bits).
std::string set_overrides(SSL_CTX* ctx, const config::Tls& tls);

}  // namespace edgeproxy::tls
