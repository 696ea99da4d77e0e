// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/field_id.hpp"

namespace edgeproxy::http::detail {

/// What is known of one id: `name` in lower case; for an `_any` the prefix; empty where there is none.
struct FieldRow {
    FieldId id;
    std::string_view name;
    unsigned traits;
};

// The combinations that occur.
inline constexpr unsigned head_only = forbidden_in_trailers;
inline constexpr unsigned hop = hop_by_hop | forbidden_in_trailers;
inline constexpr unsigned kept = protected_from_connection | forbidden_in_trailers;
inline constexpr unsigned identity = client_identity | kept;
inline constexpr unsigned server_private = dropped_from_clients | forbidden_in_trailers;
inline constexpr unsigned proxy_order = dropped_from_endpoints | server_private;

/// One row an id, in the order of the enumeration: the only place where a name and its traits are written.
inline constexpr std::array<FieldRow, field_id_count> field_rows{{
    {FieldId::other, "", no_traits},
    {FieldId::odd, "", no_traits},
    {FieldId::odd_alias, "", server_private},
    {FieldId::host, "host", kept},
    {FieldId::connection, "connection", hop},
    {FieldId::keep_alive, "keep-alive", hop},
    {FieldId::proxy_connection, "proxy-connection", hop},
    {FieldId::proxy_authenticate, "proxy-authenticate", hop},
    {FieldId::proxy_authorization, "proxy-authorization", hop},
    {FieldId::te, "te", hop},
    {FieldId::trailer, "trailer", hop},
    {FieldId::transfer_encoding, "transfer-encoding", hop},
    {FieldId::upgrade, "upgrade", hop},
    {FieldId::http2_settings, "http2-settings", hop},
    {FieldId::content_length, "content-length", kept},
    {FieldId::expect, "expect", head_only},
    {FieldId::max_forwards, "max-forwards", head_only},
    {FieldId::forwarded, "forwarded", identity},
    {FieldId::via, "via", head_only},
    {FieldId::x_forwarded_for, "x-forwarded-for", identity},
    {FieldId::x_forwarded_proto, "x-forwarded-proto", identity},
    {FieldId::x_forwarded_host, "x-forwarded-host", identity},
    {FieldId::x_forwarded_port, "x-forwarded-port", identity},
    {FieldId::x_forwarded_prefix, "x-forwarded-prefix", identity},
    {FieldId::x_forwarded_scheme, "x-forwarded-scheme", identity},
    {FieldId::x_forwarded_ssl, "x-forwarded-ssl", identity},
    {FieldId::x_forwarded_server, "x-forwarded-server", identity},
    {FieldId::x_forwarded_uri, "x-forwarded-uri", identity},
    {FieldId::x_forwarded_method, "x-forwarded-method", identity},
    {FieldId::x_forwarded_client_cert, "x-forwarded-client-cert", identity},
    {FieldId::x_forwarded_any, "x-forwarded-", identity},
    {FieldId::x_real_ip, "x-real-ip", identity},
    {FieldId::x_client_ip, "x-client-ip", identity},
    {FieldId::true_client_ip, "true-client-ip", identity},
    {FieldId::cf_connecting_ip, "cf-connecting-ip", identity},
    {FieldId::x_request_id, "x-request-id", identity},
    {FieldId::x_edgeproxy_any, "x-edgeproxy-", identity},
    {FieldId::ssl_client_any, "ssl-client-", identity},
    {FieldId::x_client_cert_any, "x-client-cert", server_private},
    {FieldId::client_cert_any, "client-cert", server_private},
    {FieldId::traceparent, "traceparent", no_traits},
    {FieldId::tracestate, "tracestate", no_traits},
    {FieldId::proxy, "proxy", server_private},
    {FieldId::script_name, "script-name", server_private},
    {FieldId::path_info, "path-info", server_private},
    {FieldId::remote_user, "remote-user", server_private},
    {FieldId::daphne_root_path, "daphne-root-path", server_private},
    {FieldId::x_original_url, "x-original-url", server_private},
    {FieldId::x_rewrite_url, "x-rewrite-url", server_private},
    {FieldId::x_script_name, "x-script-name", server_private},
    {FieldId::x_sendfile_any, "x-sendfile", proxy_order},
    {FieldId::x_accel_any, "x-accel-", proxy_order},
    {FieldId::x_accel_buffering, "x-accel-buffering", proxy_order},
    {FieldId::x_accel_redirect, "x-accel-redirect", proxy_order},
    {FieldId::x_http_method_override, "x-http-method-override", head_only},
    {FieldId::sec_websocket_key, "sec-websocket-key", head_only},
    {FieldId::sec_websocket_version, "sec-websocket-version", head_only},
    {FieldId::sec_websocket_accept, "sec-websocket-accept", head_only},
    {FieldId::sec_websocket_protocol, "sec-websocket-protocol", head_only},
    {FieldId::sec_websocket_extensions, "sec-websocket-extensions", head_only},
    {FieldId::accept, "accept", head_only},
    {FieldId::accept_encoding, "accept-encoding", head_only},
    {FieldId::accept_ranges, "accept-ranges", no_traits},
    {FieldId::age, "age", head_only},
    {FieldId::allow, "allow", no_traits},
    {FieldId::authorization, "authorization", kept},
    {FieldId::cache_control, "cache-control", head_only},
    {FieldId::content_disposition, "content-disposition", head_only},
    {FieldId::content_encoding, "content-encoding", head_only},
    {FieldId::content_range, "content-range", head_only},
    {FieldId::content_type, "content-type", kept},
    {FieldId::cookie, "cookie", kept},
    {FieldId::date, "date", head_only},
    {FieldId::etag, "etag", no_traits},
    {FieldId::expires, "expires", head_only},
    {FieldId::if_match, "if-match", head_only},
    {FieldId::if_modified_since, "if-modified-since", head_only},
    {FieldId::if_none_match, "if-none-match", head_only},
    {FieldId::if_range, "if-range", head_only},
    {FieldId::if_unmodified_since, "if-unmodified-since", head_only},
    {FieldId::last_modified, "last-modified", no_traits},
    {FieldId::link, "link", no_traits},
    {FieldId::location, "location", head_only},
    {FieldId::origin, "origin", head_only},
    {FieldId::pragma, "pragma", head_only},
    {FieldId::range, "range", head_only},
    {FieldId::referer, "referer", head_only},
    {FieldId::retry_after, "retry-after", head_only},
    {FieldId::server, "server", no_traits},
    {FieldId::set_cookie, "set-cookie", kept},
    {FieldId::strict_transport_security, "strict-transport-security", head_only},
    {FieldId::user_agent, "user-agent", head_only},
    {FieldId::vary, "vary", head_only},
    {FieldId::www_authenticate, "www-authenticate", head_only},
}};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < field_rows.size(); ++i) {
        if (field_rows[i].id != static_cast<FieldId>(i)) return false;
    }
    return true;
}
static_assert(rows_are_in_order());

}  // namespace edgeproxy::http::detail
