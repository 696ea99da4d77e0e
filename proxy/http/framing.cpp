// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/framing.hpp"

namespace edgeproxy::http {
namespace {

// Transfer-Encoding is there and is not `chunked`: a coding that we do not know, or nonsense?
errc judge_coding(std::string_view value) {
    bool chunked_seen = false;
    const bool well_formed = for_each_element(value, [&](std::string_view coding) {
        if (chunked_seen || !is_token(coding)) return false;  // nothing may follow `chunked`
        chunked_seen = iequals(coding, "chunked");
        return true;
    });
    return well_formed ? errc::unknown_coding : errc::bad_transfer_encoding;
}

errc check_coding(const Fields& fields, Version version) {
    if (fields.has(FieldId::content_length)) return errc::both_lengths;
    if (version == Version::http10) return errc::transfer_encoding_on_http10;
    if (version == Version::h2 || fields.repeated(FieldId::transfer_encoding)) return errc::bad_transfer_encoding;
    const std::string_view value = fields.value(FieldId::transfer_encoding);
    return iequals(value, "chunked") ? errc::ok : judge_coding(value);
}

// What the fields announce; Kind::none if nothing.
Framing announced(const Fields& fields, Version version) {
    if (fields.has(FieldId::transfer_encoding)) {
        const errc error = check_coding(fields, version);
        return {error, {error == errc::ok ? Body::Kind::chunked : Body::Kind::none, 0}};
    }
    if (!fields.has(FieldId::content_length)) return {};
    if (fields.repeated(FieldId::content_length)) return {errc::duplicate_length, {}};
    const auto length = parse_length(fields.value(FieldId::content_length));
    if (!length) return {errc::bad_length, {}};
    return {errc::ok, {Body::Kind::length, *length}};
}

}  // namespace

std::optional<std::uint64_t> parse_length(std::string_view text) {
    constexpr std::size_t most_digits = 18;  // 10^18 - 1 is far below 2^63
    if (text.empty() || text.size() > most_digits) return std::nullopt;
    if (text[0] == '0' && text.size() > 1) return std::nullopt;
    std::uint64_t value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

Framing request_framing(const Fields& fields, Version version) {
    return announced(fields, version);
}

Framing response_framing(const Fields& fields, unsigned status, Method request_method, Version version) {
    Framing framing = announced(fields, version);
    if (framing.error != errc::ok) return framing;
    if (status < 200 || status == 204 || status == 304 || request_method == Method::head) {
        framing.body = {};
    } else if (framing.body.kind == Body::Kind::none) {
        framing.body.kind = version == Version::h2 ? Body::Kind::chunked : Body::Kind::until_close;
    }
    return framing;
}

}  // namespace edgeproxy::http
