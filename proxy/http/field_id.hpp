// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace edgeproxy::http {

/// Every field name that the proxy treats specially. A name is looked up once, when it is parsed; from then on an id.
/// Names ending in `_any` stand for every name with that prefix which has no id of its own.
enum class FieldId : std::uint8_t {
    other,      ///< a name of letters, digits and '-' that means nothing to us
    odd,        ///< a valid token with other characters (X_Foo, a.b): dropped from clients by default
    odd_alias,  ///< the same, and with '-' for '_' it is one that is protected or dropped: always dropped
    // message control and connection
    host,
    connection,
    keep_alive,
    proxy_connection,
    proxy_authenticate,
    proxy_authorization,
    te,
    trailer,
    transfer_encoding,
    upgrade,
    http2_settings,
    content_length,
    expect,
    max_forwards,
    // who asks, from where
    forwarded,
    via,
    x_forwarded_for,
    x_forwarded_proto,
    x_forwarded_host,
    x_forwarded_port,
    x_forwarded_prefix,
    x_forwarded_scheme,
    x_forwarded_ssl,
    x_forwarded_server,
    x_forwarded_uri,
    x_forwarded_method,
    x_forwarded_client_cert,
    x_forwarded_any,
    x_real_ip,
    x_client_ip,
    true_client_ip,
    cf_connecting_ip,
    x_request_id,
    x_edgeproxy_any,
    ssl_client_any,
    x_client_cert_any,
    client_cert_any,
    traceparent,
    tracestate,
    // private to application servers
    proxy,
    script_name,
    path_info,
    remote_user,
    daphne_root_path,
    x_original_url,
    x_rewrite_url,
    x_script_name,
    x_sendfile_any,
    x_accel_any,
    x_accel_buffering,
    x_accel_redirect,
    x_http_method_override,
    // WebSocket
    sec_websocket_key,
    sec_websocket_version,
    sec_websocket_accept,
    sec_websocket_protocol,
    sec_websocket_extensions,
    // the rest of what somebody in the house asks for
    accept,
    accept_encoding,
    accept_ranges,
    age,
    allow,
    authorization,
    cache_control,
    content_disposition,
    content_encoding,
    content_range,
    content_type,
    cookie,
    date,
    etag,
    expires,
    if_match,
    if_modified_since,
    if_none_match,
    if_range,
    if_unmodified_since,
    last_modified,
    link,
    location,
    origin,
    pragma,
    range,
    referer,
    retry_after,
    server,
    set_cookie,
    strict_transport_security,
    user_agent,
    vary,
    www_authenticate,
    count_  ///< how many there are; no field has it
};

inline constexpr std::size_t field_id_count = static_cast<std::size_t>(FieldId::count_);

/// What a name means to a proxy. Bits; see `traits`.
enum FieldTraits : unsigned {
    no_traits = 0,
    hop_by_hop = 1,                 ///< concerns one connection: never forwarded (`te` may go on as `trailers`)
    protected_from_connection = 2,  ///< stays even if Connection names it
    client_identity = 4,            ///< says who the client is: believed from trusted peers only
    dropped_from_clients = 8,       ///< private to application servers: a client may not send it
    dropped_from_endpoints = 16,    ///< an order to a proxy that is not us: removed from answers
    forbidden_in_trailers = 32      ///< framing, routing, authentication, content: RFC 9110, section 6.5.1
};

/// The traits of a name, FieldTraits or-ed together.
unsigned traits(FieldId id);
/// Has `id` one of the traits in `bits`?
inline bool has_trait(FieldId id, unsigned bits) {
    return (traits(id) & bits) != 0;
}
/// The name in lower case; for an `_any` its prefix; "" for other, odd and odd_alias.
std::string_view name_of(FieldId id);

/// The id of a name in any case. `name` is a valid token; no allocation, a hash and one comparison.
FieldId lookup(std::string_view name);
/// The same for a name that is known to hold letters, digits and '-' only.
FieldId lookup_plain(std::string_view name);

}  // namespace edgeproxy::http
