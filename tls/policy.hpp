// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "config/config.hpp"
#include "tls/certificates.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// Versions, suites, groups and modes of every SSL_CTX of ours, either side. False: OpenSSL refuses.
bool set_policy(SSL_CTX* ctx, config::TlsProfile profile);
/// Our certificate, its intermediates and its key. False: OpenSSL refuses.
bool set_certificate(SSL_CTX* ctx, const Certificate& certificate);

}  // namespace edgeproxy::tls
