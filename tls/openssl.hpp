// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace edgeproxy::tls {

/// Frees an OpenSSL object with the function that belongs to its type.
template <auto free_function>
struct Free {
    template <class T>
    void operator()(T* object) const {
        free_function(object);
    }
};

using UniqueSsl = std::unique_ptr<SSL, Free<SSL_free>>;
using UniqueSslCtx = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using UniqueX509 = std::unique_ptr<X509, Free<X509_free>>;
using UniqueKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using UniqueBio = std::unique_ptr<BIO, Free<BIO_free>>;
using UniqueCipher = std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>>;

}  // namespace edgeproxy::tls
