// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace edgeproxy::http {

/// Why a message is refused. After one of these the connection is of no use any more: answer and close.
enum class errc : std::uint8_t {
    ok,
    // request line
    bad_request_line,  ///< not `METHOD SP target SP HTTP/x.y CRLF`; also a method in lower case or above 32 bytes
    bad_target,        ///< a byte, an escape or a form that a request target must not have
    bad_version,       ///< HTTP/x.y other than 1.0 and 1.1 (505)
    forbidden_method,  ///< CONNECT, TRACE, TRACK (405)
    unknown_protocol,  ///< extended CONNECT for something other than WebSocket (501; RFC 8441, RFC 9220 section 3)
    line_too_long,     ///< the request line is above its limit (414)
    // fields
    bad_field,        ///< no colon, blank before it, empty name, byte outside the grammar
    obs_fold,         ///< a line that begins with a blank (RFC 9112, section 5.2)
    bare_lf,          ///< LF without CR before it
    bare_cr,          ///< CR without LF after it
    head_too_large,   ///< all fields together are above their limit (431)
    field_too_large,  ///< one field, or its name, is above its limit (431)
    too_many_fields,  ///< (431)
    // host
    no_host,         ///< HTTP/1.1 without Host, or an empty one
    bad_host,        ///< not a strict host[:port]
    duplicate_host,  ///< two Host fields, or Host and :authority that differ
    // framing
    both_lengths,                 ///< Content-Length beside Transfer-Encoding: refused, not mended (request smuggling)
    bad_length,                   ///< Content-Length is not 0|[1-9][0-9]{0,17}
    duplicate_length,             ///< more than one Content-Length, equal or not
    bad_transfer_encoding,        ///< not exactly the one token `chunked`
    transfer_encoding_on_http10,  ///< the coding came with HTTP/1.1
    unknown_coding,               ///< a well-formed coding besides `chunked` (501)
    bad_connection,               ///< Connection is no list of tokens, or names too many
    bad_expect,                   ///< Expect asks something other than 100-continue (417)
    bad_upgrade_bytes,            ///< a byte from 0x80 in a value of an upgrade request (splits there in some servers)
    // body
    bad_chunk,  ///< chunk line or the CRLF after its data is malformed
    chunk_ext_too_long,
    bad_trailer,
    trailer_too_large,  ///< bytes or fields above their limit
    // answers only
    bad_status_line,  ///< also HTTP/0.9, a status outside 100..999, controls in the reason
    bad_switch,       ///< 101 that is no WebSocket switch
    truncated,        ///< the stream ended inside the message
    count_
};

/// The word for logs and metrics: "both_lengths". Never empty.
std::string_view word(errc error);

/// The status that tells a client about an error in its request: 400 mostly. For an error in an endpoint's answer the
/// client gets 502 whatever the errc is.
unsigned status(errc error);

}  // namespace edgeproxy::http
