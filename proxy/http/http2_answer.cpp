// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_answer.hpp"

#include <algorithm>
#include <cstring>

#include "proxy/http/framing.hpp"
#include "proxy/http/http2_rules.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::string_view status_name = ":status";
constexpr unsigned switching_protocols = 101;  // RFC 9113, section 8.6: not on HTTP/2

/// Three digits; 0 for anything else.
unsigned status_of(std::string_view text) {
    unsigned status = 0;
    const bool digits =
        text.size() == 3 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return 0;
    for (const char c : text) status = status * 10 + static_cast<unsigned>(c - '0');
    return status >= 100 ? status : 0;
}

}  // namespace

void Http2Answer::begin(std::span<char> memory) {
    *this = Http2Answer{};
    memory_ = memory;
}

Http2Answer::Taken Http2Answer::fail(errc error) {
    error_ = error;
    return Taken::malformed;
}

bool Http2Answer::put(const Record& record, std::string_view name, std::string_view value) {
    if (sizeof record + name.size() + value.size() > memory_.size() - used_) return false;
    char* at = memory_.data() + used_;
    std::memcpy(at, &record, sizeof record);
    at += sizeof record;
    if (!name.empty()) std::memcpy(at, name.data(), name.size());
    if (!value.empty()) std::memcpy(at + name.size(), value.data(), value.size());
    used_ += sizeof record + name.size() + value.size();
    return true;
}

Http2Answer::Taken Http2Answer::add(std::string_view name, std::string_view value) {
    if (error_ != errc::ok) return Taken::malformed;
    const std::size_t size = name.size() + value.size() + field_overhead;
    if (name.size() > response_limits.name || value.size() > response_limits.field) return fail(errc::field_too_large);
    if (bytes_ + size > response_limits.header_bytes) return fail(errc::head_too_large);
    if (fields_ + 1 > response_limits.fields) return fail(errc::too_many_fields);
    if (name.starts_with(':')) {
        if (name != status_name || status_ != 0 || fields_ > 0) return fail(errc::bad_field);
        status_ = status_of(value);
        if (status_ == 0) return fail(errc::bad_status_line);
        if (status_ == switching_protocols) return fail(errc::bad_switch);
        const Record record{0, 0, status_};
        if (put(record, {}, {})) return Taken::ok;
        status_ = 0;
        return Taken::full;
    }
    const FieldId id = lookup(name);
    if (status_ == 0 || !is_lower_token(name) || !is_clean_value(value) || is_connection_specific(id, value))
        return fail(errc::bad_field);
    const Record record{static_cast<std::uint16_t>(name.size()), static_cast<std::uint16_t>(id),
                        static_cast<std::uint32_t>(value.size())};
    if (!put(record, name, value)) return Taken::full;
    bytes_ += size;
    ++fields_;
    return Taken::ok;
}

bool Http2Answer::end_head(bool ended) {
    if (error_ != errc::ok) return false;
    const bool interim = status_ < 200;
    if (status_ == 0 || (interim && ended)) error_ = errc::bad_status_line;
    if (interim && waiting_ >= most_interim) error_ = errc::head_too_large;
    if (error_ == errc::ok && !put({end_mark, 0, ended ? 1U : 0U}, {}, {})) error_ = errc::head_too_large;
    if (error_ != errc::ok) return false;
    ++waiting_;
    final_ = !interim;
    status_ = 0;
    fields_ = bytes_ = 0;
    return true;
}

void Http2Answer::move_to(std::span<char> larger) {
    std::memcpy(larger.data(), memory_.data(), used_);
    memory_ = larger;
}

Http2Answer::Record Http2Answer::get() {
    Record record;
    std::memcpy(&record, memory_.data() + read_, sizeof record);
    read_ += sizeof record;
    return record;
}

errc Http2Answer::read(Method request_method, Response& out) {
    out.reset();
    out.version = Version::h2;
    out.status = get().value;
    Record record;
    for (record = get(); record.name != end_mark; record = get()) {
        const char* const at = memory_.data() + read_;
        out.fields.push_within({at, record.name}, {at + record.name, record.value}, static_cast<FieldId>(record.id));
        read_ += std::size_t{record.name} + record.value;
    }
    --waiting_;
    const bool ended = record.value != 0;
    const Framing framing = response_framing(out.fields, out.status, request_method, Version::h2);
    if (framing.error != errc::ok) return framing.error;
    out.body = framing.body;
    if (out.body.kind == Body::Kind::until_close) out.body.kind = Body::Kind::chunked;
    if (ended && out.body.kind == Body::Kind::length && out.body.length > 0) return errc::bad_length;
    return errc::ok;
}

}  // namespace edgeproxy::http
