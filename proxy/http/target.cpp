// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/target.hpp"

#include "proxy/http/scan.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

// The byte that %hh stands for, or -1.
int escaped(std::string_view text, std::size_t percent) {
    if (text.size() - percent < 3) return -1;
    const int high = hex_value(text[percent + 1]);
    const int low = hex_value(text[percent + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// `text` begins with '/'.
errc parse_origin(std::string_view text, Target& out) {
    const std::size_t size = path_size(text);
    if (size == std::string_view::npos) return errc::bad_target;
    out.target = text;
    out.path = {text.data(), size};
    out.has_query = size < text.size();
    if (!out.has_query) return errc::ok;
    out.query = {text.data() + size + 1, text.size() - size - 1};
    return is_valid_query(out.query) ? errc::ok : errc::bad_target;
}

errc parse_absolute(std::string_view raw, Method method, Target& out) {
    const std::size_t colon = raw.find("://");
    if (colon == std::string_view::npos) return errc::bad_target;
    out.scheme = raw.substr(0, colon);
    if (!iequals(out.scheme, "http") && !iequals(out.scheme, "https")) return errc::bad_target;
    const std::string_view rest = raw.substr(colon + 3);
    const std::size_t slash = rest.find_first_of("/?");
    out.authority_text = rest.substr(0, slash);
    const auto authority = parse_authority(out.authority_text);
    if (!authority) return errc::bad_host;
    out.authority = *authority;
    out.absolute = true;
    if (slash != std::string_view::npos) {
        // "http://host?query" would need a '/' that is not there; nobody sends it, so it is refused rather than copied
        return rest[slash] == '/' ? parse_origin(rest.substr(slash), out) : errc::bad_target;
    }
    out.target = out.path = method == Method::options ? "*" : "/";  // RFC 9112, section 3.2.4
    return errc::ok;
}

}  // namespace

errc parse_target(std::string_view raw, Method method, Target& out) {
    out = Target{};
    if (raw.empty()) return errc::bad_target;
    if (raw[0] == '/') return parse_origin(raw, out);
    if (raw == "*") {
        out.target = out.path = raw;
        return method == Method::options ? errc::ok : errc::bad_target;
    }
    return parse_absolute(raw, method, out);
}

std::size_t path_size(std::string_view text) {
    const char* p = text.data();
    const char* end = p + text.size();
    for (;;) {
        p = scan::path_end(p, end);
        if (p == end || *p == '?') return static_cast<std::size_t>(p - text.data());
        if (*p != '%') return std::string_view::npos;
        const int byte = escaped(text, static_cast<std::size_t>(p - text.data()));
        if (byte < 0x20 || byte == 0x7f) return std::string_view::npos;
        p += 3;
    }
}

bool is_valid_query(std::string_view query) {
    const char* end = query.data() + query.size();
    return scan::target_end(query.data(), end) == end;
}

bool is_valid_path(std::string_view path) {
    return !path.empty() && path[0] == '/' && path_size(path) == path.size();
}

}  // namespace edgeproxy::http
