// SPDX-License-Identifier: Apache-2.0
#include "tls/certificates.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

#include "tls/io/ip.hpp"

namespace edgeproxy::tls {
namespace {

constexpr int smallest_rsa = 2048;
using Where = CertificateError::Where;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

/// The password of a key, and whether it was wanted.
struct Passphrase {
    std::string_view text;
    bool asked = false;
};

/// Never asks on a terminal.
int give_passphrase(char* buffer, int size, int, void* argument) {
    auto& given = *static_cast<Passphrase*>(argument);
    given.asked = true;
    if (given.text.empty() || given.text.size() > static_cast<std::size_t>(size)) return -1;
    std::copy(given.text.begin(), given.text.end(), buffer);
    return static_cast<int>(given.text.size());
}

std::string_view first_line(std::string_view text) {
    text = text.substr(0, text.find('\n'));
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
}

UniqueBio memory(std::string_view bytes) {
    return UniqueBio{BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))};
}

bool looks_like_der(std::string_view bytes) {
    return bytes.size() > 2 && bytes[0] == '\x30' && (bytes[1] & '\x80') != 0;
}

std::string common_name(const X509_NAME* name) {
    char text[256];
    const int size = X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

std::string one_line(const X509_NAME* name) {
    const UniqueBio out{BIO_new(BIO_s_mem())};
    X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

std::string text_of(const ASN1_STRING* string) {
    const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(string));
    std::string text(data, static_cast<std::size_t>(ASN1_STRING_length(string)));
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

std::vector<std::string> alternative_names(X509* leaf) {
    std::vector<std::string> found;
    const Names names{static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr))};
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        std::string text;
        if (name->type == GEN_DNS) text = text_of(name->d.dNSName);
        if (name->type == GEN_IPADD) text = address_text(name->d.iPAddress);
        if (!text.empty()) found.push_back(std::move(text));
    }
    return found;
}

CertificateInfo::Time time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string key_type_of(EVP_PKEY* key) {
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) return "EC P-" + std::to_string(EVP_PKEY_get_bits(key));
    const char* name = EVP_PKEY_get0_type_name(key);
    if (name == nullptr) return "unknown";
    return std::string_view(name) == "ED25519" ? "Ed25519" : name;
}

void warn_about_chain(const Certificate& certificate, std::vector<std::string>& warnings) {
    X509* child = certificate.leaf.get();
    for (const UniqueX509& parent : certificate.intermediates) {
        if (X509_NAME_cmp(X509_get_issuer_name(child), X509_get_subject_name(parent.get())) != 0) {
            warnings.push_back("the chain has a gap: " + one_line(X509_get_subject_name(child)) +
                               " was not issued by " + one_line(X509_get_subject_name(parent.get())) +
                               ", which follows it");
        }
        child = parent.get();
    }
    if (certificate.intermediates.empty() && !certificate.info.self_signed)
        warnings.emplace_back("the file has no intermediate certificate; most clients need the full chain");
}

CertificateInfo inspect(const Certificate& certificate) {
    X509* leaf = certificate.leaf.get();
    CertificateInfo info;
    info.names = alternative_names(leaf);
    info.subject = common_name(X509_get_subject_name(leaf));
    if (info.names.empty()) {
        info.warnings.emplace_back("the certificate has no subject alternative name; browsers refuse it");
        if (!info.subject.empty()) info.names.push_back(info.subject);
    }
    if (info.subject.empty() && !info.names.empty()) info.subject = info.names.front();
    if (info.subject.empty()) info.subject = one_line(X509_get_subject_name(leaf));
    info.issuer = common_name(X509_get_issuer_name(leaf));
    if (info.issuer.empty()) info.issuer = one_line(X509_get_issuer_name(leaf));
    info.key_type = key_type_of(certificate.key.get());
    info.not_before = time_of(X509_get0_notBefore(leaf));
    info.not_after = time_of(X509_get0_notAfter(leaf));
    info.self_signed = X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0;
    return info;
}

CertificateResult<std::vector<UniqueX509>> read_chain(std::string_view pem) {
    const UniqueBio in = memory(pem);
    std::vector<UniqueX509> chain;
    Passphrase none;
    while (X509* next = PEM_read_bio_X509(in.get(), nullptr, give_passphrase, &none)) chain.emplace_back(next);
    // The end of the file is an error in OpenSSL's queue too; anything else means a block that is broken.
    const unsigned long error = ERR_peek_last_error();
    const bool ended = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (pem.empty()) return CertificateError{"the file is empty", Where::chain};
    if (chain.empty() && looks_like_der(pem))
        return CertificateError{"it is DER, not PEM; convert it with: openssl x509 -inform DER -in FILE -out FILE.pem",
                                Where::chain};
    if (chain.empty() && ended)
        return CertificateError{"no certificate in it (expected a block that begins with -----BEGIN CERTIFICATE-----)",
                                Where::chain};
    if (!ended)
        return CertificateError{"certificate number " + std::to_string(chain.size() + 1) + " in it is damaged",
                                Where::chain};
    return chain;
}

CertificateResult<UniqueKey> read_key(std::string_view pem, std::string_view password) {
    const UniqueBio in = memory(pem);
    Passphrase given{first_line(password)};
    UniqueKey key{PEM_read_bio_PrivateKey(in.get(), nullptr, give_passphrase, &given)};
    ERR_clear_error();
    if (key) return key;
    if (pem.empty()) return CertificateError{"the file is empty", Where::key};
    if (given.asked && !password.empty())
        return CertificateError{given.text.empty() ? "the first line, which should be the password, is empty"
                                                   : "the password in it does not open the key",
                                Where::password};
    if (given.asked)
        return CertificateError{
            "the key is protected by a password; name the file that holds it (key_password_file), or write the key "
            "without one with: openssl pkey -in FILE -out FILE.key",
            Where::key};
    if (looks_like_der(pem))
        return CertificateError{"it is DER, not PEM; convert it with: openssl pkey -inform DER -in FILE -out FILE.pem",
                                Where::key};
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
        return CertificateError{"the private key in it is damaged", Where::key};
    return CertificateError{"no private key in it (expected a block that begins with -----BEGIN PRIVATE KEY-----)",
                            Where::key};
}

/// Why this key may not serve this chain; empty when it may.
std::string mismatch(const std::vector<UniqueX509>& chain, EVP_PKEY* key) {
    std::string message;
    if (X509_check_private_key(chain.front().get(), key) != 1) {
        message = "the key does not fit the certificate";
        for (std::size_t i = 1; i < chain.size(); ++i) {
            if (X509_check_private_key(chain[i].get(), key) == 1)
                message = "the chain is in the wrong order: the certificate of the key is number " +
                          std::to_string(i + 1) + " and must come first";
        }
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < smallest_rsa) {
        message = "the RSA key has " + std::to_string(EVP_PKEY_get_bits(key)) + " bits; clients want at least 2048";
    }
    ERR_clear_error();
    return message;
}

}  // namespace

void throw_exception_from_error(const CertificateError& error, const boost::source_location&) {
    throw std::runtime_error(error.message);
}

std::string address_text(const ASN1_OCTET_STRING* bytes) {
    io::Peer peer;
    peer.is_ip = true;
    const std::uint8_t* data = ASN1_STRING_get0_data(bytes);
    if (ASN1_STRING_length(bytes) == 4) {
        peer.ip[10] = peer.ip[11] = 0xff;
        std::copy_n(data, 4, peer.ip.begin() + 12);
    } else if (ASN1_STRING_length(bytes) == 16) {
        std::copy_n(data, 16, peer.ip.begin());
    } else {
        return {};
    }
    return peer.to_string();
}

long CertificateInfo::days_left(Time now) const {
    return std::chrono::floor<std::chrono::days>(not_after - now).count();
}

void cleanse(Pem& pem) {
    for (std::string* const secret : {&pem.key, &pem.password}) {
        OPENSSL_cleanse(secret->data(), secret->size());
        secret->clear();
    }
}

CertificateResult<Certificate> load_certificate(std::string_view chain_pem, std::string_view key_pem,
                                                std::string_view password) {
    auto chain = read_chain(chain_pem);
    if (!chain) return chain.error();
    auto key = read_key(key_pem, password);
    if (!key) return key.error();
    if (std::string why = mismatch(*chain, key->get()); !why.empty())
        return CertificateError{std::move(why), Where::both};
    Certificate certificate;
    certificate.leaf = std::move(chain->front());
    certificate.intermediates.assign(std::make_move_iterator(chain->begin() + 1),
                                     std::make_move_iterator(chain->end()));
    certificate.key = std::move(*key);
    certificate.info = inspect(certificate);
    warn_about_chain(certificate, certificate.info.warnings);
    return certificate;
}

}  // namespace edgeproxy::tls
