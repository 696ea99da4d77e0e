// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/system/result.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// The contents of the files of a certificate. Key material: never log.
struct Pem {
    std::string chain;  ///< the certificate first, then its intermediates
    std::string key;
    std::string ocsp{};        ///< an answer to staple, DER; empty = none
    std::string client_ca{};   ///< authorities of its clients; used where `client_auth` asks for a certificate
    std::string client_crl{};  ///< their revocation lists
    std::string password{};    ///< the contents of `key_password_file`: its first line opens the key
    std::string name{};        ///< what to call it; empty = as the configuration does
    bool operator==(const Pem&) const = default;
};

/// Why a certificate cannot be served, as a sentence without file names that continues "CERT: ...".
struct CertificateError {
    enum class Where { chain, key, both, client_ca, client_crl, settings, password };
    std::string message;
    Where where = Where::both;  ///< which file to name
    std::size_t index = 0;      ///< of the certificate (Replacement::index)
    std::string name{};         ///< of the certificate: the path of its chain
};
template <class T>
using CertificateResult = boost::system::result<T, CertificateError>;
[[noreturn]] void throw_exception_from_error(const CertificateError& error, const boost::source_location& at);

/// What a person wants to know of a certificate.
struct CertificateInfo {
    using Time = std::chrono::system_clock::time_point;
    std::string subject;             ///< common name, else the first name, else the whole subject
    std::string issuer;              ///< the same of its issuer
    std::vector<std::string> names;  ///< DNS and IP names of the SAN, lower case; the common name when there is no SAN
    std::string key_type;            ///< "EC P-256", "RSA 2048", "Ed25519"
    Time not_before{};
    Time not_after{};
    bool self_signed = false;
    std::vector<std::string> warnings;  ///< sentences: a gap in the chain, no intermediate, no SAN, no good OCSP answer
    Time stapled_until{};               ///< nextUpdate of the OCSP answer that is stapled; the epoch = none

    /// Whole days until it expires; negative when it has.
    long days_left(Time now) const;
};

/// A certificate, its intermediates and its key that fit each other. Move-only.
struct Certificate {
    UniqueX509 leaf;
    std::vector<UniqueX509> intermediates;
    UniqueKey key;
    CertificateInfo info;
};

/// Parses and checks: PEM and not DER, a key that is not encrypted or opens with `password` (its first line), the key
/// fits the first certificate, the key is long
/// enough for today's clients (RSA from 2,048 bits). An expired certificate loads: `info` tells. Blocking only for CPU;
/// any thread.
CertificateResult<Certificate> load_certificate(std::string_view chain_pem, std::string_view key_pem,
                                                std::string_view password = {});

/// Overwrites key and password in memory.
void cleanse(Pem& pem);

/// An IP address of a SAN as people write it; empty when it has neither 4 nor 16 bytes.
std::string address_text(const ASN1_OCTET_STRING* bytes);

/// A fresh self-signed certificate for localhost, *.localhost, 127.0.0.1 and ::1, EC P-256, valid from an hour before
/// `now` for 30 days. Empty strings only when OpenSSL has no randomness. Any thread.
Pem dev_certificate(CertificateInfo::Time now);
/// The same signed by `authority`, which stands behind it in the chain. Empty as well when that can sign nothing.
Pem dev_certificate(CertificateInfo::Time now, const Pem& authority);
/// An authority for the above, EC P-256, ten years. It can vouch for localhost, *.localhost, *.test and loopback
/// addresses only (name constraints), so that nobody is put at risk who believes it. Empty strings as above.
Pem dev_authority(CertificateInfo::Time now);
bool is_signed_by(const Certificate& certificate, const Certificate& authority);

}  // namespace edgeproxy::tls
