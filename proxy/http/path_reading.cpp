// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "proxy/http/scan.hpp"
#include "proxy/http/target.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

constexpr char upper_hex(char c) {
    return c >= 'a' && c <= 'f' ? static_cast<char>(c - ('a' - 'A')) : c;
}

// Copies a path with its escapes decoded: those of unreserved characters, or all. The others keep their three bytes,
// with hex digits in upper case; so the result is never longer.
std::size_t decode(std::string_view path, bool all, char* out) {
    char* to = out;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] != '%' || path.size() - i < 3) {
            *to++ = path[i];
            continue;
        }
        const char high = path[i + 1], low = path[i + 2];
        const char byte = static_cast<char>(hex_value(high) * 16 + hex_value(low));
        i += 2;
        if (all || is_char(byte, char_unreserved)) {
            *to++ = byte == '\\' ? '/' : byte;
        } else {
            *to++ = '%';
            *to++ = upper_hex(high);
            *to++ = upper_hex(low);
        }
    }
    return static_cast<std::size_t>(to - out);
}

std::size_t cut_parameters(char* text, std::size_t size) {
    std::size_t to = 0;
    bool cutting = false;
    for (std::size_t i = 0; i < size; ++i) {
        cutting = text[i] == ';' || (cutting && text[i] != '/');
        if (!cutting) text[to++] = text[i];
    }
    return to;
}

std::size_t merge_slashes(char* text, std::size_t size) {
    std::size_t to = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (text[i] == '/' && to > 0 && text[to - 1] == '/') continue;
        text[to++] = text[i];
    }
    return to;
}

// RFC 3986, section 5.2.4, in place: each segment is moved to its place, "." is left out, ".." takes the last one away.
std::size_t resolve_dots(char* text, std::size_t size) {
    std::size_t to = 0;
    for (std::size_t i = 0; i < size;) {  // text[i] is '/'
        const char* slash = static_cast<const char*>(std::memchr(text + i + 1, '/', size - i - 1));
        const std::size_t end = slash ? static_cast<std::size_t>(slash - text) : size;
        const std::string_view segment(text + i + 1, end - i - 1);
        const bool last = end == size;
        if (segment == "." || segment == "..") {
            if (segment == "..") {
                while (to > 0 && text[--to] != '/') {
                }
            }
            if (last) text[to++] = '/';
        } else {
            std::memmove(text + to, text + i, end - i);
            to += end - i;
        }
        i = end;
    }
    return to;
}

}  // namespace

bool has_one_reading(std::string_view path) {
    const char* const end = path.data() + path.size();
    return scan::path_trick(path.data(), end) == end;
}

unsigned readings_of(std::string_view path) {
    const bool escapes = path.find('%') != std::string_view::npos;
    unsigned bits = canonical;
    if (escapes) bits |= all_decoded;
    // decoding and cutting may bring slashes, dots and semicolons to light, so an escape makes every reading possible
    if (escapes || path.find(';') != std::string_view::npos) bits |= slashes_merged | parameters_cut | dots_kept;
    if (path.find("//") != std::string_view::npos) bits |= slashes_merged;
    if (path.find("/.") != std::string_view::npos) bits |= dots_kept;
    return bits;
}

std::string_view read_path(std::string_view path, unsigned reading, std::span<char> buffer) {
    char* text = buffer.data();
    std::size_t size = decode(path, (reading & all_decoded) != 0, text);
    if ((reading & parameters_cut) != 0) size = cut_parameters(text, size);
    if ((reading & slashes_merged) != 0) size = merge_slashes(text, size);
    if ((reading & dots_kept) == 0 && size > 0 && text[0] == '/') size = resolve_dots(text, size);
    return {text, size};
}

}  // namespace edgeproxy::http
