// SPDX-License-Identifier: Apache-2.0
#include "tls/error.hpp"

namespace edgeproxy::tls {
namespace {

class Category final : public boost::system::error_category {
 public:
    const char* name() const noexcept override { return "edgeproxy.tls"; }
    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::plain_http:
                return "the client spoke plain HTTP to a TLS port";
            case errc::no_alpn:
                return "no application protocol in common";
            case errc::unknown_host:
                return "no certificate for the name that the client asked for";
            case errc::nothing_shared:
                return "no TLS version, cipher suite or group in common";
            case errc::certificate_refused:
                return "the client refused our certificate";
            case errc::alert:
                return "the peer sent a TLS alert";
            case errc::truncated:
                return "the peer closed in the middle of the handshake";
            case errc::too_large:
                return "the handshake is too large";
            case errc::flood:
                return "too many TLS messages that carry no data";
            case errc::protocol:
                return "broken TLS";
            case errc::out_of_memory:
                return "out of memory in TLS";
            case errc::no_client_certificate:
                return "the client showed no certificate";
            case errc::client_revoked:
                return "the client's certificate has been revoked";
            case errc::client_expired:
                return "the client's certificate is not valid now";
            case errc::client_unknown_ca:
                return "the client's certificate is from an unknown authority";
            case errc::client_invalid:
                return "the client's certificate is not valid";
            case errc::spoke_first:
                return "the peer sent bytes before TLS began";
            case errc::certificate_untrusted:
                return "the peer's certificate leads to no root that we believe";
            case errc::certificate_expired:
                return "the peer's certificate is not valid at this time";
            case errc::certificate_wrong_host:
                return "the peer's certificate is for another name";
        }
        return "unknown";
    }
};

}  // namespace

const boost::system::error_category& category() {
    static const Category instance;
    return instance;
}

}  // namespace edgeproxy::tls
