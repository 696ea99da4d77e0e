// SPDX-License-Identifier: Apache-2.0
#include "tls/client_identity.hpp"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <array>
#include <string_view>

#include "tls/certificates.hpp"

namespace edgeproxy::tls {
namespace {

using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

struct FreeText {
    void operator()(char* text) const { OPENSSL_free(text); }
};

void append_hex(std::string& out, unsigned char byte, std::string_view digits) {
    out.push_back(digits[byte >> 4]);
    out.push_back(digits[byte & 15]);
}

/// Printable ASCII as it is; the comma that divides names, the escape itself and everything else as %XX.
void append_escaped(std::string& out, const unsigned char* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        const unsigned char c = data[i];
        if (c > 0x20 && c < 0x7f && c != ',' && c != '%') {
            out.push_back(static_cast<char>(c));
        } else {
            out.push_back('%');
            append_hex(out, c, "0123456789ABCDEF");
        }
    }
}

std::string distinguished_name(const X509_NAME* name) {
    const UniqueBio out{BIO_new(BIO_s_mem())};
    // RFC 2253 with every byte that is not printable ASCII escaped.
    if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string serial_of(X509* certificate) {
    const Number number{ASN1_INTEGER_to_BN(X509_get_serialNumber(certificate), nullptr)};
    const std::unique_ptr<char, FreeText> text{number ? BN_bn2hex(number.get()) : nullptr};
    return text ? text.get() : "";
}

std::string fingerprint_of(X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    std::string text;
    if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return text;
    for (unsigned i = 0; i < size; ++i) append_hex(text, digest[i], "0123456789abcdef");
    return text;
}

std::string_view prefix_of(int type) {
    if (type == GEN_DNS) return "DNS:";
    if (type == GEN_URI) return "URI:";
    return type == GEN_EMAIL ? "email:" : "";
}

void append_name(std::string& out, const GENERAL_NAME& name) {
    const std::string_view prefix = prefix_of(name.type);
    if (prefix.empty() && name.type != GEN_IPADD) return;
    if (!out.empty()) out.push_back(',');
    if (name.type == GEN_IPADD) {
        out += "IP:" + address_text(name.d.iPAddress);
        return;
    }
    const ASN1_STRING* const text = name.d.ia5;
    out += prefix;
    append_escaped(out, ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text)));
}

std::string names_of(X509* certificate) {
    std::string out;
    const Names names{
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i)
        append_name(out, *sk_GENERAL_NAME_value(names.get(), i));
    return out;
}

/// Spaces at the ends of a name are escaped by RFC 2253; what is left must be printable.
bool is_printable(std::string_view text) {
    for (const char c : text) {
        if (c < 0x20 || c > 0x7e) return false;
    }
    return text.size() <= ClientIdentity::longest;
}

}  // namespace

std::unique_ptr<const ClientIdentity> client_identity(const SSL* ssl) {
    X509* const certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return nullptr;
    auto made = std::make_unique<ClientIdentity>();
    made->subject = distinguished_name(X509_get_subject_name(certificate));
    made->issuer = distinguished_name(X509_get_issuer_name(certificate));
    made->serial = serial_of(certificate);
    made->fingerprint = fingerprint_of(certificate);
    made->names = names_of(certificate);
    ERR_clear_error();
    const bool whole = !made->fingerprint.empty() && is_printable(made->subject) && is_printable(made->issuer) &&
                       is_printable(made->serial) && is_printable(made->names);
    if (!whole) return nullptr;
    return made;
}

}  // namespace edgeproxy::tls
