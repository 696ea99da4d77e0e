// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tls/io/error.hpp"

namespace edgeproxy::tls {

/// How TLS with a peer failed. Ends of stream, deadlines and cancels are `io::errc`; broken sockets are system errors.
enum class errc {
    plain_http = 1,         ///< the client spoke HTTP to a TLS port; the stream is plain again: answer 400 and close
    no_alpn,                ///< no protocol that both sides speak (RFC 7301, section 3.2)
    unknown_host,           ///< no certificate for the name and `unknown_host: reject`
    nothing_shared,         ///< no version, cipher suite or group that both sides speak
    certificate_refused,    ///< the client sent an alert about our certificate (unknown_ca, bad_certificate ...)
    alert,                  ///< the peer sent another fatal alert
    truncated,              ///< the peer closed in the middle of the handshake
    too_large,              ///< more handshake bytes than `Session::max_handshake` before it was done
    flood,                  ///< too many KeyUpdates or renegotiation attempts for the data that came
    protocol,               ///< broken records or messages
    out_of_memory,          ///< OpenSSL got no memory
    no_client_certificate,  ///< the client has to show a certificate and did not
    client_revoked,         ///< its certificate is on a revocation list
    client_expired,         ///< its certificate is not valid now
    client_unknown_ca,      ///< no authority that we believe issued it
    client_invalid,         ///< its certificate cannot be verified for another reason
    // Towards an endpoint.
    spoke_first,             ///< it sent bytes before it had heard anything of us
    certificate_untrusted,   ///< no chain from its certificate to a root that we believe
    certificate_expired,     ///< its certificate is not valid at this time
    certificate_wrong_host,  ///< its certificate is for another name
};

const boost::system::error_category& category();
inline boost::system::error_code make_error_code(errc e) {
    return {static_cast<int>(e), category()};
}

}  // namespace edgeproxy::tls

template <>
struct boost::system::is_error_code_enum<edgeproxy::tls::errc> : std::true_type {};
