// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "tls/certificates.hpp"

namespace edgeproxy::tls {

/// An OCSP answer that may be stapled (RFC 6066, section 8).
struct Staple {
    std::string der;                ///< empty = none
    CertificateInfo::Time until{};  ///< its nextUpdate: not served after that
};

/// Looks whether `der` is an answer about `certificate`, signed by its issuer (the first intermediate) or by whom the
/// issuer named for it, says good, and is of now. Else the staple is empty and `why` a sentence that says what is
/// wrong.
Staple check_staple(const std::string& der, const Certificate& certificate, CertificateInfo::Time now,
                    std::string& why);

}  // namespace edgeproxy::tls
