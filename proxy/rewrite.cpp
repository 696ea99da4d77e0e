// SPDX-License-Identifier: Apache-2.0
#include "proxy/rewrite.hpp"

#include <array>

#include "proxy/http/framing.hpp"
#include "proxy/http/target.hpp"
#include "proxy/http/text.hpp"
#include "tls/client_identity.hpp"

namespace edgeproxy::proxy {
namespace {

using http::Field;
using http::FieldId;

std::string without_slash(std::string text) {
    while (text.ends_with('/')) text.pop_back();
    return text;
}

/// Fields of a request that never pass by themselves: framing and Host are written anew.
bool is_rewritten(FieldId id) {
    return id == FieldId::host || id == FieldId::content_length || id == FieldId::expect;
}

/// Do we say ourselves which prefix is gone?
bool tells_prefix(const RewriteRules& rules) {
    return rules.forwarded_x && !rules.strip_prefix.empty();
}

/// False, and noted.
bool drop(admin::FieldDrops& drops, admin::FieldDrop reason) {
    ++drops[static_cast<std::size_t>(reason)];
    return false;
}

bool passes_to_endpoint(const Field& field, const http::Request& request, const RewriteRules& rules,
                        const Identity& identity, admin::FieldDrops& drops) {
    using admin::FieldDrop;
    switch (field.id) {
        case FieldId::other:
            break;
        case FieldId::odd:
            if (!rules.pass_underscores) return drop(drops, FieldDrop::underscore);
            break;
        case FieldId::odd_alias:
            return drop(drops, FieldDrop::underscore);
        case FieldId::sec_websocket_key:
        case FieldId::sec_websocket_version:
        case FieldId::sec_websocket_extensions:
        case FieldId::sec_websocket_protocol:
            return request.websocket;
        case FieldId::max_forwards:  // counted down below
            if (request.method == http::Method::options) return false;
            break;
        case FieldId::via:
            return true;
        default:
            if (is_rewritten(field.id) || http::has_trait(field.id, http::hop_by_hop)) return false;
            if (http::has_trait(field.id, http::dropped_from_clients)) return drop(drops, FieldDrop::server_only);
            if (http::has_trait(field.id, http::client_identity)) {
                // Ours are written below in any case; the rest of a trusted peer's passes.
                if (!identity.trusted) return drop(drops, FieldDrop::client_identity);
                if (field.id == FieldId::forwarded) return !rules.forwarded_rfc7239;
                if (field.id == FieldId::x_forwarded_prefix) return !tells_prefix(rules);
                if (field.id == FieldId::x_forwarded_for || field.id == FieldId::x_forwarded_proto ||
                    field.id == FieldId::x_forwarded_host || field.id == FieldId::x_forwarded_port ||
                    field.id == FieldId::x_real_ip || field.id == FieldId::x_request_id)
                    return false;
            }
    }
    if (!rules.request_id.empty() && field.id == FieldId::other && http::iequals(field.name, rules.request_id))
        return false;
    return request.connection.names().empty() || !request.connection.nominates(field.name);
}

void write_target(http::HeadWriter& out, const http::Request& request, const RewriteRules& rules,
                  std::span<char> scratch) {
    if ((rules.strip_prefix.empty() && rules.add_prefix.empty()) || request.path == "*") return out.put(request.target);
    std::string_view path = http::read_path(request.path, http::canonical, scratch);
    const std::size_t cut = rules.strip_prefix.size();
    if (path.starts_with(rules.strip_prefix) && (path.size() == cut || path[cut] == '/')) path.remove_prefix(cut);
    out.put(rules.add_prefix);
    if (!path.starts_with('/')) out.put('/');
    out.put(path);
    if (request.has_query) {
        out.put('?');
        out.put(request.query);
    }
}

std::string_view host_for_endpoint(const http::Request& request, const RewriteRules& rules,
                                   std::string_view endpoint_authority) {
    switch (rules.host_header) {
        case config::HostHeader::preserve:
            return request.authority.empty() ? endpoint_authority : request.authority;
        case config::HostHeader::endpoint:
            return endpoint_authority;
        case config::HostHeader::fixed:
            return rules.host_value;
    }
    return {};
}

/// What we cut off stood behind what a trusted peer had cut off: one path, from the outside in.
void write_prefix(http::HeadWriter& out, const http::Request& request, const RewriteRules& rules,
                  const Identity& identity) {
    std::string_view outer = identity.trusted ? request.fields.value(FieldId::x_forwarded_prefix) : std::string_view();
    while (outer.ends_with('/')) outer.remove_suffix(1);
    out.put("X-Forwarded-Prefix: ");
    out.put(outer);
    out.put(rules.strip_prefix);
    out.put("\r\n");
}

void write_forwarded(http::HeadWriter& out, const http::Request& request, const RewriteRules& rules,
                     const Identity& identity) {
    if (rules.forwarded_x) {
        out.field("X-Forwarded-For", identity.client_ip);
        out.field("X-Forwarded-Proto", identity.proto);
        if (!identity.host.empty()) out.field("X-Forwarded-Host", identity.host);
        if (!identity.port.empty()) out.field("X-Forwarded-Port", identity.port);
        if (tells_prefix(rules)) write_prefix(out, request, rules, identity);
    }
    if (rules.forwarded_rfc7239) {
        const bool v6 = identity.client_ip.find(':') != std::string_view::npos;
        out.put("Forwarded: for=");
        out.put(v6 ? "\"[" : "");
        out.put(identity.client_ip == "unix" ? std::string_view("unknown") : identity.client_ip);
        out.put(v6 ? "]\"" : "");
        out.put(";proto=");
        out.put(identity.proto);
        if (!identity.host.empty()) {
            out.put(";host=\"");
            out.put(identity.host);
            out.put('"');
        }
        out.put("\r\n");
    }
}

/// The version is that of the request as it came (RFC 9110, section 7.6.3).
void write_via(http::HeadWriter& out, http::Version received, const RewriteRules& rules) {
    if (rules.via.empty()) return;
    constexpr std::array<std::string_view, 3> versions{"1.0 ", "1.1 ", "2.0 "};
    out.put("Via: ");
    out.put(versions[static_cast<std::size_t>(received)]);
    out.put(rules.via);
    out.put("\r\n");
}

void optional_field(http::HeadWriter& out, std::string_view name, std::string_view value) {
    if (!value.empty()) out.field(name, value);
}

/// Whom the client's certificate names, where one is asked for. What the client itself says in these fields never
/// passes.
void write_certificate(http::HeadWriter& out, const Identity& identity) {
    if (!identity.asks_certificate) return;
    out.field("X-Client-Cert-Verify", identity.certificate != nullptr ? "SUCCESS" : "NONE");
    if (identity.certificate == nullptr) return;
    optional_field(out, "X-Client-Cert-Subject", identity.certificate->subject);
    optional_field(out, "X-Client-Cert-Issuer", identity.certificate->issuer);
    optional_field(out, "X-Client-Cert-Serial", identity.certificate->serial);
    optional_field(out, "X-Client-Cert-Fingerprint", identity.certificate->fingerprint);
    optional_field(out, "X-Client-Cert-Names", identity.certificate->names);
}

bool passes_to_client(const Field& field, const http::Response& response, const RewriteRules& rules) {
    if (field.id == FieldId::other)
        return response.connection.names().empty() || !response.connection.nominates(field.name);
    if (http::has_trait(field.id, http::hop_by_hop | http::dropped_from_endpoints)) return false;
    // An answer without a body (to HEAD, or 304) may still tell the length that it would have; 204 has none (RFC 9110,
    // section 8.6), and a client of HTTP/2 may take it for an error.
    if (field.id == FieldId::content_length)
        return response.body.kind == http::Body::Kind::none && response.status >= 200 && response.status != 204;
    if (field.id == FieldId::server) return rules.server == "pass";
    if (field.id == FieldId::x_request_id && http::iequals(rules.request_id, "x-request-id")) return false;
    return response.connection.names().empty() || !response.connection.nominates(field.name);
}

/// 426 has to say which protocol it wants (RFC 9110, section 15.5.22). A client can change to that one with us; any
/// other would be an offer that we do not keep.
bool demands_websocket(const http::Response& response) {
    constexpr unsigned upgrade_required = 426;
    if (response.status != upgrade_required) return false;
    bool found = false;
    for (const Field& field : response.fields) {
        if (field.id != FieldId::upgrade) continue;
        http::for_each_element(field.value, [&](std::string_view protocol) {
            found = found || http::iequals(protocol, "websocket");
            return true;
        });
    }
    return found;
}

}  // namespace

RewriteRules::RewriteRules(const config::Headers& headers, const config::Route& route, const config::Pool* pool)
    : request_id(headers.request_id),
      server(headers.server),
      via(headers.via),
      pass_underscores(headers.pass_underscores),
      forwarded_x(headers.forwarded_x),
      forwarded_rfc7239(headers.forwarded_rfc7239),
      strip_prefix(without_slash(route.strip_prefix)),
      add_prefix(without_slash(route.add_prefix)) {
    if (pool != nullptr) {
        host_header = pool->host_header;
        host_value = pool->host_header_value;
    }
}

admin::FieldDrops write_request_head(http::HeadWriter& out, const http::Request& request, const RewriteRules& rules,
                                     const Identity& identity, std::string_view request_id,
                                     std::string_view endpoint_authority, const UpstreamBody& body,
                                     std::span<char> scratch) {
    admin::FieldDrops drops{};
    drops[static_cast<std::size_t>(admin::FieldDrop::connection)] = request.connection.ignored;
    out.put(request.method_text);
    out.put(' ');
    write_target(out, request, rules, scratch);
    out.put(" HTTP/1.1\r\n");
    out.field("Host", host_for_endpoint(request, rules, endpoint_authority));
    for (const Field& field : request.fields) {
        if (passes_to_endpoint(field, request, rules, identity, drops)) out.field(field.name, field.value);
    }
    if (body.body.kind == http::Body::Kind::length) out.field("Content-Length", body.body.length);
    if (body.body.kind == http::Body::Kind::chunked) out.put("Transfer-Encoding: chunked\r\n");
    if (body.expect_continue) out.put("Expect: 100-continue\r\n");
    if (request.websocket) {
        out.put("Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else if (request.te_trailers) {
        out.put("Connection: te\r\nTE: trailers\r\n");
    }
    write_forwarded(out, request, rules, identity);
    write_certificate(out, identity);
    if (!rules.request_id.empty()) out.field(rules.request_id, request_id);
    if (const auto hops = max_forwards(request); hops && *hops > 0) out.field("Max-Forwards", *hops - 1);
    write_via(out, request.version, rules);
    out.end_head();
    return drops;
}

std::optional<std::uint64_t> max_forwards(const http::Request& request) {
    if (request.method != http::Method::options || !request.fields.has(FieldId::max_forwards)) return std::nullopt;
    return http::parse_length(request.fields.value(FieldId::max_forwards));
}

bool filter_response(const http::Response& response, const RewriteRules& rules, const ResponseExtras& extras,
                     ResponseHead& out) {
    out.reset();
    out.status = response.status;
    out.reason = response.reason;
    out.body = response.body;
    if (out.body.kind == http::Body::Kind::until_close) out.body.kind = http::Body::Kind::chunked;
    bool room = true;
    for (const Field& field : response.fields) {
        if (passes_to_client(field, response, rules)) room &= out.fields.push(field.name, field.value, field.id);
    }
    if (response.status < 200) return room;
    if (demands_websocket(response)) {
        room &= out.fields.push("Connection", "upgrade", FieldId::connection);
        room &= out.fields.push("Upgrade", "websocket", FieldId::upgrade);
    }
    if (!response.fields.has(FieldId::date)) room &= out.fields.push("Date", extras.date, FieldId::date);
    if (!rules.server.empty() && rules.server != "pass")
        room &= out.fields.push("Server", rules.server, FieldId::server);
    if (!rules.request_id.empty()) room &= out.fields.push(rules.request_id, extras.request_id, FieldId::x_request_id);
    if (!extras.hsts.empty())
        room &= out.fields.push("Strict-Transport-Security", extras.hsts, FieldId::strict_transport_security);
    return room;
}

}  // namespace edgeproxy::proxy
