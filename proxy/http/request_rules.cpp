// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/request_rules.hpp"

#include "proxy/http/authority.hpp"
#include "proxy/http/framing.hpp"
#include "proxy/http/target.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::size_t longest_method = 32;

// Some servers take "get" for GET, others for a method of its own: a rule on methods could be walked around.
bool is_disguised(std::string_view token) {
    for (int m = 0; m < static_cast<int>(Method::other); ++m) {
        if (iequals(token, text(static_cast<Method>(m)))) return true;
    }
    return iequals(token, "TRACK");
}

// What nearly every request has, without the detour through a Target.
errc set_origin(Request& request, std::string_view raw) {
    const std::size_t size = path_size(raw);
    if (size == std::string_view::npos) return errc::bad_target;
    request.target = raw;
    request.path = {raw.data(), size};
    request.has_query = size < raw.size();
    if (!request.has_query) return errc::ok;
    request.query = {raw.data() + size + 1, raw.size() - size - 1};
    return is_valid_query(request.query) ? errc::ok : errc::bad_target;
}

void fill_authority(Request& request, std::string_view text, const Authority& authority) {
    request.authority = text;
    request.host = authority.host;
    request.port = authority.port;
}

// RFC 6455, section 4.1, to the letter: what is not exactly this is no WebSocket handshake, and no tunnel opens for it.
bool asks_websocket(const Request& request) {
    const Fields& fields = request.fields;
    if (request.method != Method::get || request.version != Version::http11 || !request.connection.upgrade)
        return false;
    if (fields.repeated(FieldId::upgrade) || !iequals(fields.value(FieldId::upgrade), "websocket")) return false;
    if (fields.repeated(FieldId::sec_websocket_version) || fields.value(FieldId::sec_websocket_version) != "13") {
        return false;
    }
    if (fields.repeated(FieldId::sec_websocket_key)) return false;
    if (request.body.kind == Body::Kind::chunked || request.body.length != 0) return false;
    return is_websocket_key(fields.value(FieldId::sec_websocket_key));
}

bool has_8bit(const Fields& fields) {
    for (const Field& field : fields) {
        for (char c : field.value) {
            if (static_cast<unsigned char>(c) >= 0x80) return true;
        }
    }
    return false;
}

errc apply_expect(Request& request) {
    if (!request.fields.has(FieldId::expect) || request.version == Version::http10) return errc::ok;
    if (request.fields.repeated(FieldId::expect)) return errc::bad_expect;
    if (!iequals(request.fields.value(FieldId::expect), "100-continue")) return errc::bad_expect;
    request.expect_continue = request.body.kind == Body::Kind::chunked || request.body.length > 0;
    return errc::ok;
}

void apply_te(Request& request) {
    if (!request.fields.has(FieldId::te)) return;
    for (const Field& field : request.fields) {
        if (field.id != FieldId::te) continue;
        for_each_element(field.value, [&](std::string_view coding) {
            request.te_trailers = request.te_trailers || iequals(coding, "trailers");
            return true;
        });
    }
}

errc apply_upgrade(Request& request, bool obs_text) {
    if (!request.fields.has(FieldId::upgrade)) return errc::ok;
    request.websocket = asks_websocket(request);
    request.upgrade_other = !request.websocket;
    if (!request.websocket) return errc::ok;
    request.websocket_key = request.fields.value(FieldId::sec_websocket_key);
    return !obs_text && has_8bit(request.fields) ? errc::bad_upgrade_bytes : errc::ok;
}

}  // namespace

errc set_method(Request& request, std::string_view token) {
    request.method_text = token;
    request.method = method_of(token);
    if (request.method == Method::connect || request.method == Method::trace || token == "TRACK") {
        return errc::forbidden_method;
    }
    if (request.method != Method::other) return errc::ok;
    const bool passes = token.size() <= longest_method && is_token(token) && !is_disguised(token);
    return passes ? errc::ok : errc::bad_request_line;
}

errc set_target(Request& request, std::string_view raw) {
    if (!raw.empty() && raw[0] == '/') return set_origin(request, raw);
    Target target;
    const errc error = parse_target(raw, request.method, target);
    if (error != errc::ok) return error;
    request.target = target.target;
    request.path = target.path;
    request.query = target.query;
    request.has_query = target.has_query;
    request.absolute_form = target.absolute;
    if (!target.absolute) return errc::ok;
    request.scheme = iequals(target.scheme, "https") ? "https" : "http";
    fill_authority(request, target.authority_text, target.authority);
    return errc::ok;
}

errc set_authority(Request& request, std::string_view text) {
    if (text.empty()) return errc::no_host;
    const auto authority = parse_authority(text);
    if (!authority) return errc::bad_host;
    fill_authority(request, text, *authority);
    return errc::ok;
}

errc apply_host(Request& request) {
    if (request.fields.repeated(FieldId::host)) return errc::duplicate_host;
    const Field* host = request.fields.find(FieldId::host);
    if (!host) return request.version == Version::http10 ? errc::ok : errc::no_host;
    if (!request.absolute_form) return set_authority(request, host->value);
    return parse_authority(host->value) ? errc::ok : errc::bad_host;
}

errc apply_fields(Request& request, bool upgrade_obs_text) {
    errc error = request.connection.read(request.fields);
    if (error != errc::ok) return error;
    request.keep_alive =
        !request.connection.close && (request.version != Version::http10 || request.connection.keep_alive);
    const Framing framing = request_framing(request.fields, request.version);
    if (framing.error != errc::ok) return framing.error;
    request.body = framing.body;
    error = apply_expect(request);
    if (error != errc::ok) return error;
    apply_te(request);
    return apply_upgrade(request, upgrade_obs_text);
}

bool is_websocket_key(std::string_view text) {
    if (text.size() != 24 || text.substr(22) != "==") return false;
    for (char c : text.substr(0, 22)) {
        const bool letter_or_digit = is_char(c, char_plain_name) && c != '-';
        if (!letter_or_digit && c != '+' && c != '/') return false;
    }
    return true;
}

}  // namespace edgeproxy::http
