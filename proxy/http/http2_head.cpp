// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_head.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "proxy/http/http2_rules.hpp"
#include "proxy/http/request_rules.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::string_view crumb_separator = "; ";

bool has_8bit(const Fields& fields) {
    const auto high = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
    return std::any_of(fields.begin(), fields.end(),
                       [&](const Field& field) { return std::any_of(field.value.begin(), field.value.end(), high); });
}

}  // namespace

void Http2Head::begin(Request& request, std::span<char> memory, const Limits& limits) {
    *this = Http2Head{};
    request_ = &request;
    limits_ = &limits;
    memory_ = memory;
    request.reset();
    request.version = Version::h2;
}

std::string_view Http2Head::store(std::string_view text) {
    char* const at = memory_.data() + used_;
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    used_ += text.size();
    return {at, text.size()};
}

void Http2Head::move_to(std::span<char> larger) {
    char* const from = memory_.data();
    if (used_ > 0) std::memcpy(larger.data(), from, used_);
    const auto move = [&](std::string_view& view) {
        // What lies elsewhere is a literal.
        if (view.data() >= from && view.data() <= from + used_)
            view = {larger.data() + (view.data() - from), view.size()};
    };
    for (Field& field : request_->fields) {
        move(field.name);
        move(field.value);
    }
    for (std::string_view* view : {&method_, &scheme_, &authority_, &path_, &protocol_}) move(*view);
    memory_ = larger;
}

Http2Head::Taken Http2Head::add(std::string_view name, std::string_view value) {
    const std::size_t size = name.size() + value.size();
    if (error_ == errc::ok && size + crumb_separator.size() > memory_.size() - used_) return Taken::full;
    total_ += size + field_overhead;
    ++lines_;
    if (total_ > flood * (limits_->header_bytes + limits_->request_line)) return Taken::flood;
    if (lines_ > flood * (limits_->fields + max_crumbs)) return Taken::flood;
    if (error_ != errc::ok) return Taken::ok;
    if (name.size() > limits_->name || size > limits_->field) {
        error_ = name == ":path" ? errc::line_too_long : errc::field_too_large;
        return Taken::ok;
    }
    if (name.starts_with(':')) return add_pseudo(name, value);
    return add_field(name, value);
}

std::string_view* Http2Head::pseudo_place(std::string_view name) {
    if (name == ":method") return &method_;
    if (name == ":path") return &path_;
    if (name == ":scheme") return &scheme_;
    if (name == ":authority") return &authority_;
    if (name == ":protocol") return &protocol_;
    return nullptr;
}

Http2Head::Taken Http2Head::add_pseudo(std::string_view name, std::string_view value) {
    std::string_view* const place = pseudo_place(name);
    const bool repeated = place != nullptr && place->data() != nullptr;
    if (place == nullptr || repeated || fields_ + crumbs_ > 0) return Taken::malformed;
    *place = store(value);
    constexpr std::size_t rest_of_line = 10;  // what HTTP/1.1 has besides these two: blanks and version
    if (method_.size() + path_.size() + rest_of_line > limits_->request_line) error_ = errc::line_too_long;
    return Taken::ok;
}

Http2Head::Taken Http2Head::add_field(std::string_view name, std::string_view value) {
    const FieldId id = lookup(name);
    if (!is_lower_token(name) || !is_clean_value(value) || is_connection_specific(id, value)) return Taken::malformed;
    bytes_ += name.size() + value.size() + field_overhead;
    (id == FieldId::cookie ? crumbs_ : fields_) += 1;
    if (bytes_ > limits_->header_bytes) {
        error_ = errc::head_too_large;
    } else if (fields_ > limits_->fields || crumbs_ > max_crumbs) {
        error_ = errc::too_many_fields;
    } else if (id == FieldId::cookie) {
        add_cookie(value);
    } else if (id == FieldId::sec_websocket_key && !protocol_.empty()) {
        // RFC 8441, section 5: says nothing here, the endpoint gets one of ours.
    } else if (request_->fields.size() + most_fields_of_ours >= Fields::capacity) {
        error_ = errc::too_many_fields;
    } else {
        request_->fields.push_within(store(name), store(value), id);
    }
    return Taken::ok;
}

// Crumbs nearly always come in a row: then they grow in place.
void Http2Head::add_cookie(std::string_view value) {
    Fields& fields = request_->fields;
    Field* const last = fields.empty() ? nullptr : fields.end() - 1;
    if (last != nullptr && last->id == FieldId::cookie &&
        last->value.data() + last->value.size() == memory_.data() + used_) {
        store(crumb_separator);
        store(value);
        last->value = {last->value.data(), last->value.size() + crumb_separator.size() + value.size()};
    } else if (fields.size() + most_fields_of_ours >= Fields::capacity) {
        error_ = errc::too_many_fields;
    } else {
        fields.push_within("cookie", store(value), FieldId::cookie);
    }
}

// The crumbs that stood apart, in one field where the first was. False when the memory is too small for that.
bool Http2Head::join_cookies() {
    Fields& fields = request_->fields;
    if (!fields.repeated(FieldId::cookie)) return true;
    std::size_t size = 0;
    for (const Field& field : fields)
        size += field.id == FieldId::cookie ? field.value.size() + crumb_separator.size() : 0;
    if (size > memory_.size() - used_) return false;
    std::array<Field, Fields::capacity> all;
    const std::size_t count = fields.size();
    std::copy(fields.begin(), fields.end(), all.begin());
    fields.clear();
    char* const begin = memory_.data() + used_;
    Field* joined = nullptr;
    for (std::size_t i = 0; i < count; ++i) {
        const Field& field = all[i];
        if (field.id != FieldId::cookie || joined == nullptr) fields.push_within(field.name, field.value, field.id);
        if (field.id != FieldId::cookie) continue;
        if (joined != nullptr) store(crumb_separator);
        store(field.value);
        if (joined == nullptr) joined = fields.end() - 1;
    }
    joined->value = {begin, static_cast<std::size_t>(memory_.data() + used_ - begin)};
    return true;
}

errc Http2Head::finish(bool ended) {
    if (error_ == errc::ok && !join_cookies()) error_ = errc::head_too_large;
    if (error_ == errc::ok) error_ = apply_pseudo();
    if (error_ == errc::ok) error_ = apply_authority();
    if (error_ == errc::ok) error_ = apply_fields(*request_, limits_->upgrade_obs_text);
    if (error_ == errc::ok) error_ = apply_body(ended);
    if (error_ == errc::ok && !protocol_.empty()) error_ = apply_websocket(ended);
    // The answer to a refused HEAD has no body either.
    if (error_ != errc::ok && request_->method_text.empty() && !method_.empty()) set_method(*request_, method_);
    return error_;
}

errc Http2Head::apply_pseudo() {
    errc error = errc::ok;
    if (protocol_.empty()) {
        error = set_method(*request_, method_);
    } else {
        // RFC 8441: CONNECT with a protocol. WebSocket is the only one that we know; the endpoint sees its GET.
        if (method_ != "CONNECT") return errc::forbidden_method;
        if (protocol_ != "websocket") return errc::unknown_protocol;
        error = set_method(*request_, "GET");
    }
    if (error != errc::ok) return error;
    if (path_.empty() || (path_[0] != '/' && path_ != "*")) return errc::bad_target;
    if (!iequals(scheme_, "https") && !iequals(scheme_, "http")) return errc::bad_target;
    request_->scheme = iequals(scheme_, "https") ? "https" : "http";
    return set_target(*request_, path_);
}

// RFC 9113, section 8.3.1: :authority or Host; both only if they agree.
errc Http2Head::apply_authority() {
    const Fields& fields = request_->fields;
    if (fields.repeated(FieldId::host)) return errc::duplicate_host;
    const Field* host = fields.find(FieldId::host);
    if (authority_.data() == nullptr)
        return set_authority(*request_, host != nullptr ? host->value : std::string_view());
    if (host != nullptr && !iequals(host->value, authority_)) return errc::duplicate_host;
    return set_authority(*request_, authority_);
}

errc Http2Head::apply_body(bool ended) {
    Body& body = request_->body;
    if (ended && body.kind == Body::Kind::length && body.length > 0) return errc::bad_length;
    if (ended || body.kind != Body::Kind::none) return errc::ok;
    body.kind = Body::Kind::chunked;
    request_->expect_continue = request_->fields.has(FieldId::expect);
    return errc::ok;
}

errc Http2Head::apply_websocket(bool ended) {
    Fields& fields = request_->fields;
    if (ended || fields.has(FieldId::content_length)) return errc::bad_length;
    if (fields.repeated(FieldId::sec_websocket_version)) return errc::bad_field;
    if (!fields.has(FieldId::sec_websocket_version)) {
        fields.push("sec-websocket-version", "13", FieldId::sec_websocket_version);
    }
    if (fields.value(FieldId::sec_websocket_version) != "13") return errc::bad_field;
    if (!limits_->upgrade_obs_text && has_8bit(fields)) return errc::bad_upgrade_bytes;
    request_->websocket = true;
    request_->expect_continue = false;
    request_->body = {};  // what the client sends is the tunnel's
    return errc::ok;
}

void Http2Head::give_websocket_key(std::string_view key) {
    request_->websocket_key = key;
    request_->fields.push("sec-websocket-key", key, FieldId::sec_websocket_key);
}

}  // namespace edgeproxy::http
