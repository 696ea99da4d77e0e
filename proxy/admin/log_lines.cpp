// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_lines.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <variant>

#include "config/text_escape.hpp"

namespace edgeproxy::admin {

using config::append_json;
using config::append_plain;

namespace {

using config::LogField;
using config::LogLevel;
using config::LogRecord;

constexpr std::size_t level_width = 5, subject_width = 9;
constexpr std::string_view continuation = "             ";  // under the level's column

template <class Number>
void append_number(std::string& out, Number number) {
    std::array<char, 32> digits{};
    out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

std::string_view colour_of(LogLevel level) {
    constexpr std::array<std::string_view, 5> colours{"\x1b[2m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    return colours[static_cast<std::size_t>(level)];
}

/// syslog(3) priorities.
std::string_view priority_of(LogLevel level) {
    constexpr std::array<std::string_view, 5> priorities{"<7>", "<7>", "<6>", "<4>", "<3>"};
    return priorities[static_cast<std::size_t>(level)];
}

std::string_view subject_of(const LogRecord& record) {
    for (const std::string_view key : {std::string_view("worker"), std::string_view("pool")}) {
        for (const LogField& field : record.fields) {
            const auto* text = std::get_if<std::string>(&field.value);
            if (field.key == key && text != nullptr && !text->empty()) return *text;
        }
    }
    return "edgeproxy";
}

void append_padded(std::string& out, std::string_view word, std::size_t width) {
    const std::size_t start = out.size();
    append_plain(out, word);
    if (out.size() < start + width) out.append(start + width - out.size(), ' ');
    out.push_back(' ');
}

void append_lines(std::string& out, std::string_view text, std::string_view prefix) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        append_plain(out, text.substr(0, end));
        out.append("\n").append(prefix).append(continuation);
        text.remove_prefix(end + 1);
    }
    append_plain(out, text);
}

/// ` key=value`
void append_plain_field(std::string& out, const LogField& field) {
    out.push_back(' ');
    append_plain(out, field.key);
    out.push_back('=');
    if (const auto* text = std::get_if<std::string>(&field.value)) append_plain(out, *text);
    if (const auto* number = std::get_if<std::int64_t>(&field.value)) append_number(out, *number);
    if (const auto* real = std::get_if<double>(&field.value)) append_number(out, *real);
    if (const auto* flag = std::get_if<bool>(&field.value)) out.append(*flag ? "true" : "false");
}

void append_text_member(std::string& out, std::string_view key, std::string_view text) {
    append_json(out.append(",\""), key);
    append_json(out.append("\":\""), text);
    out.push_back('"');
}

void append_member(std::string& out, const LogField& field) {
    if (const auto* text = std::get_if<std::string>(&field.value)) return append_text_member(out, field.key, *text);
    append_json(out.append(",\""), field.key);
    out.append("\":");
    if (const auto* number = std::get_if<std::int64_t>(&field.value)) append_number(out, *number);
    if (const auto* flag = std::get_if<bool>(&field.value)) out.append(*flag ? "true" : "false");
    const auto* real = std::get_if<double>(&field.value);
    if (real == nullptr) return;
    if (std::isfinite(*real)) {
        append_number(out, *real);
    } else {
        out.append("null");  // JSON has no word for it
    }
}

/// The keys that are ours; a field of that name would be there twice.
bool is_reserved(std::string_view key) {
    return key == "ts" || key == "level" || key == "event" || key == "text";
}

}  // namespace

void LogLines::append_console(std::string& out, const LogRecord& record, const ConsoleStyle& style) {
    const std::string_view prefix = style.journal ? priority_of(record.level) : std::string_view();
    out.append(prefix);
    if (!style.journal) {
        time_.append_clock_ms(out, record.time);
        out.push_back(' ');
    }
    if (style.colour) out.append(colour_of(record.level));
    append_padded(out, to_word(record.level), level_width);
    if (style.colour) out.append("\x1b[0m");
    append_padded(out, subject_of(record), subject_width);
    append_lines(out, record.text.empty() ? record.event : record.text, prefix);
    if (record.level <= LogLevel::debug) {
        for (const LogField& field : record.fields) append_plain_field(out, field);
    }
    out.push_back('\n');
}

void LogLines::append_json(std::string& out, const LogRecord& record) {
    out.append("{\"ts\":\"");
    time_.append_utc(out, record.time);
    out.push_back('"');
    append_text_member(out, "level", to_word(record.level));
    append_text_member(out, "event", record.event);
    for (const LogField& field : record.fields) {
        if (!is_reserved(field.key)) append_member(out, field);
    }
    if (!record.text.empty()) append_text_member(out, "text", record.text);
    out.append("}\n");
}

}  // namespace edgeproxy::admin
