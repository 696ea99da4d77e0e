// SPDX-License-Identifier: Apache-2.0
#include "config/text_escape.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace edgeproxy::config {
namespace {

void append_hex(std::string& out, std::string_view prefix, char byte) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto value = static_cast<unsigned char>(byte);
    out.append(prefix).push_back(digits[value >> 4]);
    out.push_back(digits[value & 15]);
}

/// Length of the well-formed UTF-8 sequence that `text` begins with, and its code point; length 0 when there is none
/// (RFC 3629: shortest form, no surrogates, at most U+10FFFF).
struct Sequence {
    std::size_t length = 0;
    std::uint32_t point = 0;
};
Sequence sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {1, lead};
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
    std::uint32_t point = lead & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0U) != 0x80) return {};
        point = point << 6 | (byte(i) & 0x3fU);
    }
    const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) return {};
    return {length, point};
}

/// Could it break the line, move a terminal's cursor or turn the direction of what follows?
bool is_unsafe(std::uint32_t point) {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/// Printable ASCII that no format here escapes: the way of nearly every byte.
constexpr std::array<bool, 256> simple = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0x20; c < 0x7f; ++c) table[c] = c != '"' && c != '\\';
    return table;
}();
bool is_simple(char c) {
    return simple[static_cast<unsigned char>(c)];
}

/// Copies simple runs; hands everything else to `other(position)`, which appends and returns how many bytes it used.
template <class Other>
void append_runs(std::string& out, std::string_view text, const Other& other) {
    std::size_t run = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (is_simple(text[i])) {
            ++i;
            continue;
        }
        out.append(text.substr(run, i - run));
        i += other(text.substr(i));
        run = i;
    }
    out.append(text.substr(run));
}

std::size_t append_bytes(std::string& out, std::string_view bytes, std::string_view prefix) {
    for (const char byte : bytes) append_hex(out, prefix, byte);
    return bytes.size();
}

}  // namespace

void append_plain(std::string& out, std::string_view text) {
    append_runs(out, text, [&](std::string_view rest) {
        const auto [length, point] = sequence(rest);
        if (length == 0) return append_bytes(out, rest.substr(0, 1), "\\x");
        if (is_unsafe(point)) return append_bytes(out, rest.substr(0, length), "\\x");
        if (point == '\\') out.push_back('\\');
        out.append(rest.substr(0, length));
        return length;
    });
}

void append_json(std::string& out, std::string_view text) {
    append_runs(out, text, [&](std::string_view rest) {
        const auto [length, point] = sequence(rest);
        if (length == 0) return append_bytes(out, rest.substr(0, 1), "\\\\x");
        if (point < 0xa0 && is_unsafe(point)) {
            append_hex(out, "\\u00", static_cast<char>(point));
            return length;
        }
        if (is_unsafe(point)) {
            out.append("\\u20");
            append_hex(out, "", static_cast<char>(point & 0xff));
            return length;
        }
        if (point == '"' || point == '\\') out.push_back('\\');
        out.append(rest.substr(0, length));
        return length;
    });
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    append_json(out, text);
    out += '"';
    return out;
}

void append_nginx(std::string& out, std::string_view text) {
    if (text.empty()) out.push_back('-');
    append_runs(out, text, [&](std::string_view rest) { return append_bytes(out, rest.substr(0, 1), "\\x"); });
}

}  // namespace edgeproxy::config
