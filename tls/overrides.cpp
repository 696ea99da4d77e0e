// SPDX-License-Identifier: Apache-2.0
#include "tls/overrides.hpp"

#include <openssl/err.h>

#include <string_view>
#include <vector>

namespace edgeproxy::tls {
namespace {

constexpr int smallest_key = 128;

bool is_tls13(std::string_view cipher) {
    return cipher.starts_with("TLS_");
}

/// The names that are of TLS 1.3, or those that are not, as OpenSSL wants them.
std::string joined(const std::vector<std::string>& ciphers, bool tls13) {
    std::string list;
    for (const std::string& cipher : ciphers) {
        if (is_tls13(cipher) == tls13) list += (list.empty() ? "" : ":") + cipher;
    }
    return list;
}

/// The suite of exactly that name, alone in `ctx`; OpenSSL ignores names that it does not know, and takes patterns.
std::string judge_cipher(SSL_CTX* ctx, const std::string& name) {
    const bool taken = is_tls13(name) ? SSL_CTX_set_ciphersuites(ctx, name.c_str()) == 1
                                      : SSL_CTX_set_cipher_list(ctx, name.c_str()) == 1;
    ERR_clear_error();
    const STACK_OF(SSL_CIPHER)* const all = taken ? SSL_CTX_get_ciphers(ctx) : nullptr;
    const SSL_CIPHER* found = nullptr;
    for (int i = 0; all != nullptr && i < sk_SSL_CIPHER_num(all); ++i) {
        const SSL_CIPHER* const one = sk_SSL_CIPHER_value(all, i);
        if (name == SSL_CIPHER_get_name(one)) found = one;
    }
    if (found == nullptr) return "there is no cipher suite \"" + name + "\"";
    const int authentication = SSL_CIPHER_get_auth_nid(found);
    if (SSL_CIPHER_get_bits(found, nullptr) < smallest_key || authentication == NID_auth_null)
        return "the cipher suite " + name + " does not protect anybody";
    return {};
}

std::string set_ciphers(SSL_CTX* ctx, const std::vector<std::string>& ciphers) {
    if (ciphers.empty()) return {};
    const UniqueSslCtx scratch{SSL_CTX_new(TLS_server_method())};
    if (!scratch) return "out of memory";
    for (const std::string& cipher : ciphers) {
        if (std::string why = judge_cipher(scratch.get(), cipher); !why.empty()) return why;
    }
    const std::string old = joined(ciphers, false), modern = joined(ciphers, true);
    if (old.empty() && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1) return "OpenSSL refuses TLS 1.3";
    if (modern.empty() && SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) != 1) return "OpenSSL refuses TLS 1.2";
    if (!old.empty() && SSL_CTX_set_cipher_list(ctx, old.c_str()) != 1) return "OpenSSL refuses the cipher suites";
    if (!modern.empty() && SSL_CTX_set_ciphersuites(ctx, modern.c_str()) != 1)
        return "OpenSSL refuses the cipher suites of TLS 1.3";
    if (SSL_CTX_get_min_proto_version(ctx) == TLS1_3_VERSION && modern.empty())
        return "min_version is 1.3, but none of the cipher suites is of TLS 1.3";
    return {};
}

std::string set_groups(SSL_CTX* ctx, const std::vector<std::string>& groups) {
    if (groups.empty()) return {};
    std::string list;
    for (const std::string& group : groups) {
        if (SSL_CTX_set1_groups_list(ctx, group.c_str()) != 1) {
            ERR_clear_error();
            return "there is no group \"" + group + "\" for the key exchange";
        }
        list += (list.empty() ? "" : ":") + group;
    }
    if (SSL_CTX_set1_groups_list(ctx, list.c_str()) == 1) return {};
    ERR_clear_error();
    return "a group for the key exchange is written twice";
}

}  // namespace

std::string set_overrides(SSL_CTX* ctx, const config::Tls& tls) {
    // Our order, which is by cost with AES in hardware; a client without that puts ChaCha20 first, and gets it.
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    const bool only13 = tls.min_version == config::TlsVersion::tls13;
    if (SSL_CTX_set_min_proto_version(ctx, only13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
        return "OpenSSL refuses min_version";
    if (std::string why = set_ciphers(ctx, tls.ciphers); !why.empty()) return why;
    return set_groups(ctx, tls.groups);
}

}  // namespace edgeproxy::tls
