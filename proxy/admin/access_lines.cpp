// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/access_lines.hpp"

#include <array>
#include <charconv>
#include <cstdint>

#include "config/text_escape.hpp"
#include "proxy/admin/redact.hpp"

namespace edgeproxy::admin {

using config::append_json;
using config::append_nginx;
using config::append_plain;

namespace {

using Nanoseconds = ExchangeRecord::Nanoseconds;

/// What nginx logs for a client that closed before the answer.
constexpr unsigned client_closed = 499;

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

/// Milliseconds with `decimals` (at most 6) digits behind the point, rounded down.
void append_ms(std::string& out, Nanoseconds length, unsigned decimals) {
    auto parts = static_cast<std::uint64_t>(length.count() > 0 ? length.count() : 0);
    append_number(out, parts / 1'000'000);
    parts %= 1'000'000;
    out.push_back('.');
    for (std::uint64_t unit = 100'000; decimals > 0; --decimals, unit /= 10) {
        out.push_back(static_cast<char>('0' + parts / unit % 10));
    }
}

std::string_view log_word(http::Version protocol) {
    constexpr std::array<std::string_view, 3> words{"http/1.0", "http/1.1", "h2"};
    return words[static_cast<std::size_t>(protocol)];
}

std::string_view nginx_word(http::Version protocol) {
    constexpr std::array<std::string_view, 3> words{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"};
    return words[static_cast<std::size_t>(protocol)];
}

/// A JSON object that grows: `,"key":value`.
struct Members {
    std::string& out;

    void key(std::string_view name) { out.append(",\"").append(name).append("\":"); }
    /// Left out when there is none: the rest of the keys are in every line.
    void optional(std::string_view name, std::string_view value) {
        if (!value.empty()) text(name, value);
    }
    void text(std::string_view name, std::string_view value) {
        key(name);
        out.push_back('"');
        append_json(out, value);
        out.push_back('"');
    }
    void number(std::string_view name, std::uint64_t value) {
        key(name);
        append_number(out, value);
    }
    void ms(std::string_view name, Nanoseconds value) {
        key(name);
        append_ms(out, value, 3);
    }
    void flag(std::string_view name, bool value) {
        key(name);
        out.append(value ? "true" : "false");
    }
};

void append_request_members(Members& members, const ExchangeRecord& record, std::string_view query) {
    members.text("request_id", record.request_id);
    members.optional("trace_id", record.trace_id);
    members.text("client_ip", record.client_ip);
    members.text("peer", record.peer);
    members.text("listener", record.listener);
    members.text("route", record.route);
    members.text("protocol", log_word(record.protocol));
    members.optional("tls", record.tls_version);
    if (!record.tls_version.empty()) members.flag("tls_resumed", record.tls_resumed);
    members.optional("client_cert", record.client_cert);
    members.text("method", record.method_text);
    members.text("scheme", record.scheme);
    members.text("host", record.host);
    members.text("path", record.path);
    members.text("query", query);
}

void append_answer_members(Members& members, const ExchangeRecord& record) {
    members.key("status");
    if (record.status == 0) {
        members.out.append("null");
    } else {
        append_number(members.out, record.status);
    }
    members.optional("error", record.error);
    members.number("bytes_in", record.bytes_in);
    members.number("bytes_out", record.bytes_out);
    members.ms("duration_ms", record.total);
    members.ms("queue_ms", record.queue);
    members.ms("connect_ms", record.connect);
    members.ms("upstream_ms", record.upstream);
    members.ms("overhead_ms", record.overhead());
    members.text("pool", record.pool);
    members.text("endpoint", record.endpoint);
    members.number("attempts", record.attempts);
    members.number("upstream_status", record.upstream_status);
}

std::string_view colour_of(unsigned status) {
    if (status >= 500) return "\x1b[31m";
    if (status >= 400 || status == 0) return "\x1b[33m";
    return status >= 300 ? "\x1b[36m" : "\x1b[32m";
}

void pad_to(std::string& out, std::size_t start, std::size_t width) {
    if (out.size() < start + width) out.append(start + width - out.size(), ' ');
}

void append_status(std::string& out, unsigned status, bool colour) {
    if (colour) out.append(colour_of(status));
    if (status == 0) {
        out.append("  -");
    } else {
        append_number(out, status);
    }
    if (colour) out.append("\x1b[0m");
}

/// " 12.4ms (app 12.1)"
void append_durations(std::string& out, const ExchangeRecord& record) {
    constexpr std::size_t duration_width = 7;
    const std::size_t start = out.size();
    append_ms(out, record.total, 1);
    out.append("ms");
    const std::size_t width = out.size() - start;
    if (width < duration_width) out.insert(start, duration_width - width, ' ');
    if (record.upstream.count() == 0) return;
    out.append(" (app ");
    append_ms(out, record.upstream, 1);
    out.push_back(')');
}

}  // namespace

std::string_view AccessLines::redacted_query(const ExchangeRecord& record) {
    scratch_.clear();
    append_redacted_query(scratch_, record.query);
    return scratch_;
}

void AccessLines::append_json(std::string& out, const ExchangeRecord& record) {
    out.append("{\"ts\":\"");
    time_.append_utc(out, record.start);
    out.push_back('"');
    Members members{out};
    append_request_members(members, record, redacted_query(record));
    append_answer_members(members, record);
    scratch_.clear();
    append_redacted_reference(scratch_, record.referer);
    members.text("referer", scratch_);
    members.text("user_agent", record.user_agent);
    if (record.websocket) members.flag("websocket", true);
    out.append("}\n");
}

void AccessLines::append_combined(std::string& out, const ExchangeRecord& record) {
    append_nginx(out, record.client_ip);
    out.append(" - - [");
    time_.append_nginx(out, record.start);
    out.append("] \"");
    append_nginx(out, record.method_text);
    if (!record.method_text.empty()) {
        out.push_back(' ');
        append_nginx(out, record.path);
        if (record.has_query) out.push_back('?');
        if (!record.query.empty()) append_nginx(out, redacted_query(record));
        out.append(" ").append(nginx_word(record.protocol));
    }
    out.append("\" ");
    append_number(out, record.status == 0 ? client_closed : record.status);
    out.push_back(' ');
    append_number(out, record.bytes_out);
    out.append(" \"");
    scratch_.clear();
    append_redacted_reference(scratch_, record.referer);
    append_nginx(out, scratch_);
    out.append("\" \"");
    append_nginx(out, record.user_agent);
    out.append("\"\n");
}

void AccessLines::append_console(std::string& out, const ExchangeRecord& record, bool colour, bool time) {
    constexpr std::size_t method_width = 5, target_width = 16;
    if (time) {
        time_.append_clock(out, record.start);
        out.push_back(' ');
    }
    std::size_t start = out.size();
    append_plain(out, record.method_text.empty() ? "-" : record.method_text);
    pad_to(out, start, method_width - 1);
    out.push_back(' ');
    start = out.size();
    append_plain(out, record.path);
    if (record.has_query) out.push_back('?');
    append_plain(out, redacted_query(record));
    pad_to(out, start, target_width);
    out.push_back(' ');
    append_status(out, record.status, colour);
    out.push_back(' ');
    append_durations(out, record);
    const std::string_view answered_by = record.endpoint.empty() ? record.pool : record.endpoint;
    if (!answered_by.empty()) append_plain(out.append("  "), answered_by);
    out.append("  ").append(log_word(record.protocol));
    append_plain(out.append("  "), record.client_ip);
    if (!record.error.empty()) append_plain(out.append("  "), record.error);
    out.push_back('\n');
}

bool is_excluded(std::string_view path, const std::vector<std::string>& exclude) {
    for (const std::string& entry : exclude) {
        std::string_view rule = entry;
        if (rule.starts_with('=')) {
            if (path == rule.substr(1)) return true;
            continue;
        }
        while (rule.ends_with('/')) rule.remove_suffix(1);
        if (path.starts_with(rule) && (path.size() == rule.size() || path[rule.size()] == '/')) return true;
    }
    return false;
}

}  // namespace edgeproxy::admin
