// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "proxy/admin/cells.hpp"
#include "proxy/exchange.hpp"
#include "proxy/http/http1_writer.hpp"
#include "proxy/identity.hpp"

namespace edgeproxy::proxy {

/// What changes in the heads that pass a route; made once per configuration.
struct RewriteRules {
    RewriteRules() = default;
    RewriteRules(const config::Headers& headers, const config::Route& route, const config::Pool* pool);

    std::string request_id;  ///< field name, empty = off
    std::string server;      ///< "" = removed, "pass" = the endpoint's
    std::string via;         ///< our name in Via of requests, behind the version they came in; empty = off
    bool pass_underscores = false;
    bool forwarded_x = true;
    bool forwarded_rfc7239 = false;
    std::string strip_prefix, add_prefix;  ///< without a slash at the end
    config::HostHeader host_header = config::HostHeader::preserve;
    std::string host_value;  ///< for `fixed`
};

/// How the body travels to the endpoint, known before the head is written.
struct UpstreamBody {
    http::Body body;  ///< none, length or chunked
    bool expect_continue = false;
};

/// Writes the head of the request that the endpoint gets: the request line with the target as it came (or its canonical
/// form where a prefix is changed), Host, every field that may pass, then what edgeproxy says itself.
///
/// Left out: hop-by-hop fields and what Connection names, fields that only a server may set, and, unless the peer is
/// trusted, everything that claims to know the client (RFC 9110, section 7.6). X-Client-Cert-* (Verify: SUCCESS or
/// NONE, Subject, Issuer, Serial, Fingerprint, Names) is ours alone, and there where a certificate is asked for.
/// `endpoint_authority` is for `host_header: endpoint`. `scratch` holds at least request.path.size() bytes. Check
/// `out.overflowed()`.
/// Returns what was left out because nobody may say it here.
admin::FieldDrops write_request_head(http::HeadWriter& out, const http::Request& request, const RewriteRules& rules,
                                     const Identity& identity, std::string_view request_id,
                                     std::string_view endpoint_authority, const UpstreamBody& body,
                                     std::span<char> scratch);

/// How many hops an OPTIONS request may still make (RFC 9110, section 7.6.2): 0 = it is for us. Nothing when it does
/// not say, or nonsense.
std::optional<std::uint64_t> max_forwards(const http::Request& request);

/// What edgeproxy adds to every answer.
struct ResponseExtras {
    std::string_view date;  ///< for answers that have none
    std::string_view request_id;
    std::string_view hsts;  ///< value of Strict-Transport-Security; empty = none
};

/// Fills `out` from an endpoint's answer: status, framing, and the fields that may pass. Interim answers and 101 get no
/// extras. A 426 that asks for WebSocket keeps that with its Connection; HTTP/2 leaves both out when it writes the
/// head. False when there is no room for all fields.
bool filter_response(const http::Response& response, const RewriteRules& rules, const ResponseExtras& extras,
                     ResponseHead& out);

}  // namespace edgeproxy::proxy
