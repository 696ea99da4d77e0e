// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "proxy/http/framing.hpp"
#include "proxy/http/http1_reader.hpp"
#include "proxy/http/scan.hpp"

namespace edgeproxy::http {
namespace {

constexpr unsigned digit(char c) {
    return static_cast<unsigned>(c - '0');
}  // above 9 for what is none

constexpr std::string_view shape = "HTTP/1.1 ddd";  // 'd' and the minor version stand for digits

// All of `HTTP/1.x ddd`, and one byte more.
bool is_status_line(std::string_view text) {
    constexpr std::string_view version = "HTTP/1.";
    if (text.size() <= shape.size() || std::memcmp(text.data(), version.data(), version.size()) != 0) return false;
    return (text[7] == '1' || text[7] == '0') && text[8] == ' ' && text[9] != '0' && digit(text[9]) < 10 &&
           digit(text[10]) < 10 && digit(text[11]) < 10;
}

// The beginning of a status line, byte by byte: is it still right?
errc judge_status_line(std::string_view text) {
    for (std::size_t i = 0; i < text.size() && i < shape.size(); ++i) {
        const char c = text[i];
        bool right = c == shape[i];
        if (i == 7) right = c == '0' || c == '1';
        if (i == 9) right = c >= '1' && c <= '9';
        if (i > 9) right = c >= '0' && c <= '9';
        if (!right) return c == '\n' ? errc::bare_lf : errc::bad_status_line;
    }
    return errc::ok;
}

}  // namespace

ReadResult ResponseReader::read(std::string_view buffered, Method request_method, Response& out) {
    if (failed_ != errc::ok) return fail(failed_);
    if (step_ == Step::start) out.reset();
    follow_buffer(buffered, out.fields);
    if (step_ < Step::line) {
        const ReadResult result = read_line(buffered, out);
        if (result.status == ReadResult::Status::failed || step_ < Step::line) return result;
    }
    ReadResult result = read_fields(buffered, out.fields);
    if (result.status != ReadResult::Status::complete) return result;
    const errc error = finish(buffered, request_method, out);
    if (error != errc::ok) return fail(error);
    restart();
    return result;
}

ReadResult ResponseReader::read_line(std::string_view buffered, Response& out) {
    ReadResult result;
    if (step_ == Step::start && !buffered.empty()) step_ = Step::first_word;
    if (step_ == Step::first_word) result = read_status(buffered, out);
    if (step_ == Step::target) result = read_reason(buffered);
    return result;
}

// The blank before an empty reason is left out by some servers: that is no ambiguity, so it passes.
ReadResult ResponseReader::read_status(std::string_view buffered, Response& out) {
    if (!is_status_line(buffered)) {
        const errc error = judge_status_line(buffered);
        if (error != errc::ok) return fail(error);
        return {};
    }
    const char next = buffered[shape.size()];
    if (next != ' ' && next != '\r') return fail(next == '\n' ? errc::bare_lf : errc::bad_status_line);
    out.version = buffered[7] == '1' ? Version::http11 : Version::http10;
    out.status = digit(buffered[9]) * 100 + digit(buffered[10]) * 10 + digit(buffered[11]);
    word_end_ = static_cast<std::uint32_t>(shape.size() + (next == ' ' ? 1 : 0));
    step_ = Step::target;
    return wait(word_end_);
}

ReadResult ResponseReader::read_reason(std::string_view buffered) {
    const std::size_t limit = limits_.request_line + 1;
    const char* const head = buffered.data();
    const char* const stop = head + std::min(buffered.size(), limit);
    const char* p = scan::value_end(head + scanned_, stop);
    while (p != stop && *p == '\t') p = scan::value_end(p + 1, stop);
    const auto at = static_cast<std::size_t>(p - head);
    if (p == stop) return at < limit ? wait(at) : fail(errc::line_too_long);
    if (*p != '\r') return fail(*p == '\n' ? errc::bare_lf : errc::bad_status_line);
    if (at + 1 == buffered.size()) return wait(at);
    if (p[1] != '\n') return fail(errc::bare_cr);
    target_end_ = static_cast<std::uint32_t>(at);
    step_ = Step::line;
    return wait(at + 2);
}

errc ResponseReader::finish(std::string_view buffered, Method request_method, Response& out) {
    out.reason = buffered.substr(word_end_, target_end_ - word_end_);
    const errc error = out.connection.read(out.fields);
    if (error != errc::ok) return error;
    // HTTP/1.0 has no interim answers, and a client of it would take one for the answer (RFC 9110, section 15.2).
    if (out.status < 200 && out.status != 101 && out.version == Version::http10) return errc::bad_status_line;
    const Framing framing = response_framing(out.fields, out.status, request_method, out.version);
    if (framing.error != errc::ok) return framing.error;
    out.body = framing.body;
    out.keep_alive = !out.connection.close && out.body.kind != Body::Kind::until_close &&
                     (out.version != Version::http10 || out.connection.keep_alive);
    if (out.status != 101) return errc::ok;
    const Fields& fields = out.fields;
    out.switching = out.version == Version::http11 && out.connection.upgrade && !fields.repeated(FieldId::upgrade) &&
                    iequals(fields.value(FieldId::upgrade), "websocket") &&
                    fields.count(FieldId::sec_websocket_accept) == 1;
    return out.switching ? errc::ok : errc::bad_switch;
}

}  // namespace edgeproxy::http
