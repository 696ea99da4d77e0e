// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/message.hpp"

/// The checks that a request of any version passes, in the order in which they are to be called. Each fills its part of
/// the Request; texts must outlive it. What none of them fills: version, fields and (HTTP/2) body.
namespace edgeproxy::http {

/// At most 32 token characters; not CONNECT, TRACE or TRACK (errc::forbidden_method); no known method in another case.
errc set_method(Request& request, std::string_view token);
/// target, path, query; of an absolute-form scheme, authority, host and port too. See parse_target.
errc set_target(Request& request, std::string_view raw);
/// authority, host, port from one text: Host, or :authority. errc::no_host for "", errc::bad_host.
errc set_authority(Request& request, std::string_view text);
/// Host of HTTP/1.x: exactly one on 1.1, at most one on 1.0, valid; an absolute-form has priority over it
/// (RFC 9112, section 3.2.2).
errc apply_host(Request& request);
/// connection, keep_alive, body, expect_continue, te_trailers, websocket, websocket_key, upgrade_other, from the fields
/// of HTTP/1.x. `upgrade_obs_text`: see Limits.
errc apply_fields(Request& request, bool upgrade_obs_text);

/// A Sec-WebSocket-Key: base64 of 16 bytes.
bool is_websocket_key(std::string_view text);

}  // namespace edgeproxy::http
