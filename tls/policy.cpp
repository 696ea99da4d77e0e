// SPDX-License-Identifier: Apache-2.0
#include "tls/policy.hpp"

namespace edgeproxy::tls {
namespace {

// Mozilla's server side TLS guidelines, without the finite-field DHE suites: they cost the server most and the client
// nothing.
constexpr const char* tls12_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* tls13_ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* groups = "X25519:P-256:P-384";

}  // namespace

bool set_policy(SSL_CTX* ctx, config::TlsProfile profile) {
    const bool modern = profile == config::TlsProfile::modern;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0);
    return SSL_CTX_set_min_proto_version(ctx, modern ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, tls12_ciphers) == 1 && SSL_CTX_set_ciphersuites(ctx, tls13_ciphers) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1;
}

bool set_certificate(SSL_CTX* ctx, const Certificate& certificate) {
    if (SSL_CTX_use_certificate(ctx, certificate.leaf.get()) != 1) return false;
    if (SSL_CTX_use_PrivateKey(ctx, certificate.key.get()) != 1) return false;
    for (const UniqueX509& intermediate : certificate.intermediates) {
        if (SSL_CTX_add1_chain_cert(ctx, intermediate.get()) != 1) return false;
    }
    return true;
}

}  // namespace edgeproxy::tls
