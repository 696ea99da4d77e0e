// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/error_word.hpp"

namespace edgeproxy::admin {

std::string_view error_word(upstream::errc error) {
    using enum upstream::errc;
    switch (error) {
        case no_endpoint:
        case pool_down:
            return "destination_unavailable";
        case connect_refused:
            return "connection_refused";
        case connect_timeout:
            return "connection_timeout";
        case connect_failed:
            return "connection_failed";
        case tls_failed:
            return "tls_protocol_error";
        case tls_alert:
            return "tls_alert_received";
        case certificate_untrusted:
            return "tls_certificate_untrusted";
        case certificate_expired:
            return "tls_certificate_expired";
        case certificate_wrong_host:
            return "tls_certificate_wrong_host";
        case no_http2:
            return "http2_not_spoken";
        case no_http1:
            return "http1_not_spoken";
        case refused_stream:
            return "http2_stream_refused";
        case stale_connection:
        case closed_early:
        case reset:
            return "connection_terminated";
        case response_timeout:
            return "http_response_timeout";
        case idle_timeout:
            return "connection_read_timeout";
        case write_timeout:
            return "connection_write_timeout";
        case bad_response:
            return "http_protocol_error";
        case response_truncated:
            return "http_response_incomplete";
        default:
            return upstream::name(error);
    }
}

}  // namespace edgeproxy::admin
