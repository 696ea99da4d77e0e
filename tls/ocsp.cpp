// SPDX-License-Identifier: Apache-2.0
#include "tls/ocsp.hpp"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <ctime>

namespace edgeproxy::tls {
namespace {

using UniqueAnswer = std::unique_ptr<OCSP_RESPONSE, Free<OCSP_RESPONSE_free>>;
using UniqueBasic = std::unique_ptr<OCSP_BASICRESP, Free<OCSP_BASICRESP_free>>;
using UniqueId = std::unique_ptr<OCSP_CERTID, Free<OCSP_CERTID_free>>;
using UniqueStore = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;

/// An answer without nextUpdate says that there is always a newer one (RFC 6960, section 4.2.2.1).
constexpr auto longest_without_end = std::chrono::hours(24);

struct FreeStack {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};

CertificateInfo::Time time_of(const ASN1_GENERALIZEDTIME* time) {
    std::tm parts{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return std::chrono::system_clock::from_time_t(timegm(&parts));
}

bool is_signed_by(OCSP_BASICRESP* answer, X509* issuer) {
    const UniqueStore store{X509_STORE_new()};
    const std::unique_ptr<STACK_OF(X509), FreeStack> known{sk_X509_new_null()};
    if (!store || !known || X509_STORE_add_cert(store.get(), issuer) != 1 || sk_X509_push(known.get(), issuer) == 0)
        return false;
    X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
    return OCSP_basic_verify(answer, known.get(), store.get(), 0) == 1;
}

/// What the answer says of the certificate; `why` is empty when all is well.
Staple judge(OCSP_BASICRESP* answer, const Certificate& certificate, CertificateInfo::Time now, std::string& why) {
    X509* const issuer = certificate.intermediates.front().get();
    const UniqueId id{OCSP_cert_to_id(nullptr, certificate.leaf.get(), issuer)};
    int status = 0;
    ASN1_GENERALIZEDTIME *from = nullptr, *until = nullptr;
    if (!id || OCSP_resp_find_status(answer, id.get(), &status, nullptr, nullptr, &from, &until) != 1) {
        why = "it is about another certificate";
    } else if (!is_signed_by(answer, issuer)) {
        why = "it is not signed by the certificate's issuer";
    } else if (status != V_OCSP_CERTSTATUS_GOOD) {
        why = std::string("it says ") + OCSP_cert_status_str(status);
    } else if (time_of(from) > now + std::chrono::minutes(5)) {
        why = "it is from the future";
    }
    if (!why.empty()) return {};
    Staple staple;
    staple.until = until != nullptr ? time_of(until) : time_of(from) + longest_without_end;
    if (staple.until <= now) why = "it has expired";
    return staple;
}

}  // namespace

Staple check_staple(const std::string& der, const Certificate& certificate, CertificateInfo::Time now,
                    std::string& why) {
    why.clear();
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    const UniqueAnswer answer{d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(der.size()))};
    const UniqueBasic basic{answer ? OCSP_response_get1_basic(answer.get()) : nullptr};
    Staple staple;
    if (!answer) {
        why = "it is no OCSP answer in DER";
    } else if (!basic) {
        why = std::string("it answers ") + OCSP_response_status_str(OCSP_response_status(answer.get()));
    } else if (certificate.intermediates.empty()) {
        why = "its issuer is not in the certificate's file, so it cannot be checked";
    } else {
        staple = judge(basic.get(), certificate, now, why);
    }
    ERR_clear_error();
    if (!why.empty()) return {};
    staple.der = der;
    return staple;
}

}  // namespace edgeproxy::tls
