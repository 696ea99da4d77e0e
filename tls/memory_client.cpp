// SPDX-License-Identifier: Apache-2.0
#include "tls/memory_client.hpp"

#include <openssl/err.h>

#include <array>

namespace edgeproxy::tls {

MemoryClient::MemoryClient(const ClientContext& context, const ClientPeer& peer) : ssl_(context.make(peer)) {
    from_peer_ = BIO_new(BIO_s_mem());
    to_peer_ = BIO_new(BIO_s_mem());
    if (ssl_ && from_peer_ != nullptr && to_peer_ != nullptr) {
        SSL_set_bio(ssl_.get(), from_peer_, to_peer_);
        feed({});
        return;
    }
    BIO_free(from_peer_);
    BIO_free(to_peer_);
    ssl_.reset();
    why_ = "out of memory";
}

/// True when OpenSSL does not just want more bytes.
bool MemoryClient::failed(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) ended_ = true;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return false;
    why_ = "TLS failed";
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        why_ = make_error_code(certificate_error(ssl_.get())).message();
    ERR_clear_error();
    return true;
}

bool MemoryClient::feed(std::string_view bytes) {
    if (!ssl_ || !why_.empty()) return false;
    if (!bytes.empty()) BIO_write(from_peer_, bytes.data(), static_cast<int>(bytes.size()));
    if (!established_) {
        const int result = SSL_do_handshake(ssl_.get());
        if (result != 1) return !failed(result);
        established_ = true;
    }
    std::array<char, 4096> plain;
    for (;;) {
        const int got = SSL_read(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
        if (got <= 0) return !failed(got);
        input_.append(plain.data(), static_cast<std::size_t>(got));
    }
}

bool MemoryClient::has_h2() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    if (ssl_) SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

void MemoryClient::write(std::string_view text) {
    if (!text.empty()) SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
}

std::string MemoryClient::take_output() {
    std::string out;
    if (!ssl_) return out;
    std::array<char, 4096> chunk;
    for (int got = 0; (got = BIO_read(to_peer_, chunk.data(), static_cast<int>(chunk.size()))) > 0;)
        out.append(chunk.data(), static_cast<std::size_t>(got));
    return out;
}

}  // namespace edgeproxy::tls
