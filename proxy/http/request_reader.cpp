// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "proxy/http/http1_reader.hpp"
#include "proxy/http/request_rules.hpp"
#include "proxy/http/scan.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::size_t longest_method = 32;
constexpr std::string_view version_line = "HTTP/1.1\r\n";

// The beginning of `HTTP/x.y CRLF`, byte by byte: is it still right?
errc judge_version(std::string_view text) {
    for (std::size_t i = 0; i < text.size() && i < version_line.size(); ++i) {
        const char c = text[i];
        const bool digit = i == 5 || i == 7;
        if (digit ? (c < '0' || c > '9') : (c != version_line[i])) {
            if (c == '\n') return errc::bare_lf;
            return i == 9 ? errc::bare_cr : errc::bad_request_line;
        }
        if (i == 7 && (text[5] != '1' || c > '1')) return errc::bad_version;
    }
    return errc::ok;
}

}  // namespace

ReadResult RequestReader::read(std::string_view buffered, Request& out) {
    if (failed_ != errc::ok) return fail(failed_);
    if (step_ == Step::start && scanned_ == 0) out.reset();
    follow_buffer(buffered, out.fields);
    if (step_ < Step::line) {
        const ReadResult result = read_line(buffered, out);
        if (result.status == ReadResult::Status::failed || step_ < Step::line) return result;
    }
    ReadResult result = read_fields(buffered, out.fields);
    if (result.status != ReadResult::Status::complete) return result;
    const errc error = finish(buffered, out);
    if (error != errc::ok) return fail(error);
    restart();
    return result;
}

ReadResult RequestReader::read_line(std::string_view buffered, Request& out) {
    ReadResult result;
    if (step_ == Step::start) result = read_start(buffered);
    if (step_ == Step::first_word) result = read_method(buffered);
    if (step_ == Step::target) result = read_target(buffered);
    if (step_ == Step::tail) result = read_version(buffered, out);
    return result;
}

// One empty line is skipped (RFC 9112, section 2.2): old clients send one behind a body.
ReadResult RequestReader::read_start(std::string_view buffered) {
    if (scanned_ == 0 && !buffered.empty() && buffered[0] == '\r') {
        if (buffered.size() < 2) return {};
        if (buffered[1] != '\n') return fail(errc::bare_cr);
        scanned_ = first_ = 2;
    }
    if (scanned_ < buffered.size()) step_ = Step::first_word;
    return {};
}

ReadResult RequestReader::read_method(std::string_view buffered) {
    const std::size_t limit = first_ + longest_method + 1;
    const std::size_t stop = std::min(buffered.size(), limit);
    std::size_t at = scanned_;
    while (at < stop && is_char(buffered[at], char_token)) ++at;
    if (at == stop) return at < limit ? wait(at) : fail(errc::bad_request_line);
    if (buffered[at] == '\n') return fail(errc::bare_lf);
    if (buffered[at] != ' ' || at == first_) return fail(errc::bad_request_line);
    word_end_ = static_cast<std::uint32_t>(at);
    step_ = Step::target;
    return wait(at + 1);
}

ReadResult RequestReader::read_target(std::string_view buffered) {
    const std::size_t limit = first_ + limits_.request_line + 1;
    const std::size_t stop = std::min(buffered.size(), limit);
    if (scanned_ > stop) return fail(errc::line_too_long);
    const char* const head = buffered.data();
    const auto at = static_cast<std::size_t>(scan::target_end(head + scanned_, head + stop) - head);
    if (at == stop) return at < limit ? wait(at) : fail(errc::line_too_long);
    if (head[at] == '\n') return fail(errc::bare_lf);
    if (head[at] == '\r' || at == word_end_ + 1) return fail(errc::bad_request_line);
    if (head[at] != ' ') return fail(errc::bad_target);
    if (at + 1 + 8 - first_ > limits_.request_line) return fail(errc::line_too_long);
    target_end_ = static_cast<std::uint32_t>(at);
    step_ = Step::tail;
    return wait(at + 1);
}

ReadResult RequestReader::read_version(std::string_view buffered, Request& out) {
    const std::string_view text = buffered.substr(target_end_ + 1);
    if (text.size() < version_line.size() || std::memcmp(text.data(), version_line.data(), version_line.size()) != 0) {
        const errc error = judge_version(text);
        if (error != errc::ok) return fail(error);
        if (text.size() < version_line.size()) return {};
    }
    out.version = text[7] == '1' ? Version::http11 : Version::http10;
    step_ = Step::line;
    return wait(target_end_ + 1 + version_line.size());
}

errc RequestReader::finish(std::string_view buffered, Request& out) {
    errc error = set_method(out, buffered.substr(first_, word_end_ - first_));
    if (error == errc::ok) error = set_target(out, buffered.substr(word_end_ + 1, target_end_ - word_end_ - 1));
    if (error == errc::ok) error = apply_host(out);
    if (error == errc::ok) error = apply_fields(out, limits_.upgrade_obs_text);
    return error;
}

}  // namespace edgeproxy::http
