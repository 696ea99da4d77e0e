// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// proxy/http: bytes to meaning and meaning to bytes. No I/O, no clock, no heap; includes the standard library and
/// itself.
namespace edgeproxy::http {

/// The lower-case form of an ASCII letter; every other byte as it is.
constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// Are two texts the same but for the case of ASCII letters? (Field names, tokens, hosts, schemes.)
constexpr bool iequals(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

/// Does `text` begin with `prefix`, but for the case of ASCII letters?
constexpr bool istarts_with(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

/// `text` without blanks (SP, HTAB) at both ends.
constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// What a byte may be part of. Bits, so that one table answers every question.
enum : std::uint8_t {
    char_plain_name = 1,  ///< letter, digit, '-': what a field name is made of in practice
    char_token = 2,       ///< tchar of RFC 9110, section 5.6.2
    char_value = 4,       ///< may stand in a field value: HTAB, SP, visible, 0x80 and above
    char_target = 8,      ///< may stand in a request target: visible ASCII but '#'
    char_unreserved = 16  ///< RFC 3986, section 2.3
};

namespace detail {
struct CharTable {
    std::uint8_t of[256];
};
constexpr CharTable make_char_table() {
    CharTable table{};
    for (unsigned c = 0; c < 256; ++c) {
        const char ch = static_cast<char>(c);
        const bool alnum = (ch >= '0' && ch <= '9') || (lower(ch) >= 'a' && lower(ch) <= 'z');
        unsigned bits = 0;
        if (alnum || ch == '-') bits |= char_plain_name;
        if (alnum || (c < 128 && c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(ch) != std::string_view::npos)) {
            bits |= char_token;
        }
        if (c == 9 || (c >= 32 && c != 127)) bits |= char_value;
        if (c > 32 && c < 127 && ch != '#') bits |= char_target;
        if (alnum || ch == '-' || ch == '.' || ch == '_' || ch == '~') bits |= char_unreserved;
        table.of[c] = static_cast<std::uint8_t>(bits);
    }
    return table;
}
inline constexpr CharTable char_table = make_char_table();
}  // namespace detail

/// Is `c` of the kinds in `bits` (one of them is enough)?
constexpr bool is_char(char c, unsigned bits) {
    return (detail::char_table.of[static_cast<unsigned char>(c)] & bits) != 0;
}

/// Is every byte of `text` of the kinds in `bits`? True for an empty text.
constexpr bool all_chars(std::string_view text, unsigned bits) {
    for (char c : text) {
        if (!is_char(c, bits)) return false;
    }
    return true;
}

/// A token of RFC 9110, section 5.6.2: at least one tchar.
constexpr bool is_token(std::string_view text) {
    return !text.empty() && all_chars(text, char_token);
}

/// May `text` be a field value? HTAB, SP, visible ASCII and bytes from 0x80; no other control, no DEL. May be empty.
constexpr bool is_field_value(std::string_view text) {
    return all_chars(text, char_value);
}

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
    return -1;
}

/// Visits the elements of a comma-separated list (RFC 9110, section 5.6.1), trimmed; empty ones are visited too.
/// `visit` gets a string_view and returns false to stop; the result is false if it did.
template <class Visit>
constexpr bool for_each_element(std::string_view list, Visit&& visit) {
    for (;;) {
        const std::size_t comma = list.find(',');
        if (!visit(trim(list.substr(0, comma)))) return false;
        if (comma == std::string_view::npos) return true;
        list.remove_prefix(comma + 1);
    }
}

}  // namespace edgeproxy::http
