// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/connection_options.hpp"
#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

enum class Method : std::uint8_t { get, head, post, put, delete_, options, patch, trace, connect, other };

enum class Version : std::uint8_t { http10, http11, h2 };

/// The method of a token, case-sensitive: "GET" is get, "get" is other (and refused by the reader).
Method method_of(std::string_view token);
/// "GET"; "" for other.
std::string_view text(Method method);
/// May it be sent again without harm (RFC 9110, section 9.2.2)? False for other.
bool is_idempotent(Method method);
/// RFC 9110, section 9.2.1.
bool is_safe(Method method);

/// How a body is delimited.
struct Body {
    enum class Kind : std::uint8_t {
        none,        ///< there is none, not even an empty one
        length,      ///< exactly `length` bytes, possibly 0
        chunked,     ///< length unknown before the end: chunked coding, or DATA frames until END_STREAM on HTTP/2
        until_close  ///< until the connection ends (answers only)
    };
    Kind kind = Kind::none;
    std::uint64_t length = 0;  ///< with Kind::length

    friend bool operator==(const Body&, const Body&) = default;
};

/// A request head that has passed every check. All views point into the head buffer of the caller (or at literals) and
/// live as long as it. Large (the fields): keep them in a pool and `reset` them.
struct Request {
    Method method = Method::other;
    Version version = Version::http11;
    std::string_view method_text;  ///< the token as it came
    /// What is forwarded, byte for byte: path and query as they came; of an absolute-form what follows the authority
    /// ("/" stands for nothing); "*" with OPTIONS.
    std::string_view target;
    std::string_view path;   ///< `target` up to '?'; begins with '/' or is "*"
    std::string_view query;  ///< what follows the first '?'
    bool has_query = false;  ///< there is a '?', maybe with nothing behind it
    bool absolute_form = false;

    std::string_view
        authority;  ///< host[:port] from the absolute-form, :authority or Host; "" only on HTTP/1.0 without Host
    std::string_view host;  ///< `authority` without port and brackets, as written
    std::optional<std::uint16_t> port;
    std::string_view scheme;  ///< "http" or "https" if the request says so (absolute-form, :scheme), else ""

    Body body;
    ConnectionOptions connection;
    bool keep_alive = false;         ///< the client wants, and the version allows, another request on this connection
    bool expect_continue = false;    ///< Expect: 100-continue, and HTTP/1.1 or later, and a body
    bool te_trailers = false;        ///< TE holds `trailers`
    bool websocket = false;          ///< a valid RFC 6455 (or 8441) handshake is asked
    bool upgrade_other = false;      ///< some other Upgrade is asked: to be ignored and not forwarded
    std::string_view websocket_key;  ///< with `websocket` on HTTP/1.1: 24 characters
    Fields fields;                   ///< all of them, Host and hop-by-hop ones too

    /// Back to new, in a few stores.
    void reset();
};

/// A head of an answer, final or interim, that has passed every check. Views and size as in Request.
struct Response {
    unsigned status = 0;  ///< 100..999
    Version version = Version::http11;
    std::string_view reason;  ///< may be empty
    Body body;
    ConnectionOptions connection;
    bool keep_alive = false;  ///< the connection may be used again once the body is read to its end
    bool switching = false;   ///< 101 with Connection: upgrade, Upgrade: websocket and one Sec-WebSocket-Accept
    Fields fields;

    bool interim() const { return status < 200 && !switching; }
    /// Back to new, in a few stores.
    void reset();
};

}  // namespace edgeproxy::http
