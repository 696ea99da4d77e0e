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

std::string_view reason(errc error) {
    switch (error) {
        case errc::plain_http:
            return "plain_http";
        case errc::no_alpn:
            return "no_alpn";
        case errc::unknown_host:
            return "unknown_host";
        case errc::nothing_shared:
            return "nothing_shared";
        case errc::certificate_refused:
            return "certificate_refused";
        case errc::alert:
            return "alert";
        case errc::truncated:
            return "truncated";
        case errc::too_large:
            return "too_large";
        case errc::flood:
            return "flood";
        case errc::protocol:
            return "protocol";
        case errc::out_of_memory:
            return "out_of_memory";
        case errc::no_client_certificate:
            return "no_client_certificate";
        case errc::client_revoked:
            return "client_revoked";
        case errc::client_expired:
            return "client_expired";
        case errc::client_unknown_ca:
            return "client_unknown_ca";
        case errc::client_invalid:
            return "client_invalid";
        case errc::spoke_first:
            return "spoke_first";
        case errc::certificate_untrusted:
            return "certificate_untrusted";
        case errc::certificate_expired:
            return "certificate_expired";
        case errc::certificate_wrong_host:
            return "certificate_wrong_host";
    }
    return "unknown";
}

std::string_view reason(io::errc error) {
    switch (error) {
        case io::errc::eof:
            return "closed";
        case io::errc::timed_out:
            return "timed_out";
        case io::errc::cancelled:
            return "cancelled";
    }
    return "unknown";
}

}  // namespace

const boost::system::error_category& category() {
    static const Category instance;
    return instance;
}

std::string_view reason(const io::error_code& error) {
    if (!error) return "ok";
    if (error.category() == category()) return reason(static_cast<errc>(error.value()));
    if (error.category() == io::category()) return reason(static_cast<io::errc>(error.value()));
    return "socket";
}

}  // namespace edgeproxy::tls
