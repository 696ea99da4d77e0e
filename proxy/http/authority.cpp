// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/authority.hpp"

#include "proxy/http/scan.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::size_t longest_host = 255;

// The size of a name at the beginning of `text`, or 0. One dot at its very end is the DNS root.
std::size_t name_size(std::string_view text) {
    bool empty_label = false;
    const char* const end = scan::host_end(text.data(), text.data() + text.size(), empty_label);
    const auto size = static_cast<std::size_t>(end - text.data());
    return empty_label || size > longest_host ? 0 : size;
}

// Four decimal numbers of 0..255 without leading zeros.
bool is_ipv4(std::string_view text) {
    int parts = 0;
    for (;;) {
        const std::size_t dot = text.find('.');
        const std::string_view part = text.substr(0, dot);
        if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
        unsigned value = 0;
        for (char c : part) {
            if (c < '0' || c > '9') return false;
            value = value * 10 + static_cast<unsigned>(c - '0');
        }
        if (value > 255) return false;
        ++parts;
        if (dot == std::string_view::npos) return parts == 4;
        text.remove_prefix(dot + 1);
    }
}

// Counts the 16-bit groups of a piece of an IPv6 address without "::"; -1 if it is malformed.
int count_groups(std::string_view text, bool ipv4_may_end_it) {
    if (text.empty()) return 0;
    int groups = 0;
    for (;;) {
        const std::size_t colon = text.find(':');
        const std::string_view group = text.substr(0, colon);
        if (colon == std::string_view::npos && ipv4_may_end_it && group.find('.') != std::string_view::npos) {
            return is_ipv4(group) ? groups + 2 : -1;
        }
        if (group.empty() || group.size() > 4) return -1;
        for (char c : group) {
            if (hex_value(c) < 0) return -1;
        }
        ++groups;
        if (colon == std::string_view::npos) return groups;
        text.remove_prefix(colon + 1);
    }
}

bool is_ipv6(std::string_view text) {
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) return count_groups(text, true) == 8;
    const int before = count_groups(text.substr(0, gap), false);
    const int after = count_groups(text.substr(gap + 2), true);
    return before >= 0 && after >= 0 && before + after <= 7;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    if (text.empty() || text.size() > 5 || text[0] == '0') return std::nullopt;
    unsigned value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    if (value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
    Authority out;
    std::size_t end = 0;  // of the host, brackets and all
    if (!text.empty() && text[0] == '[') {
        end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        out.host = text.substr(1, end - 1);
        out.ipv6 = true;
        if (!is_ipv6(out.host)) return std::nullopt;
        ++end;
    } else {
        end = name_size(text);
        if (end == 0) return std::nullopt;
        out.host = text.substr(0, end);
    }
    if (end == text.size()) return out;
    if (text[end] != ':') return std::nullopt;
    out.port = parse_port(text.substr(end + 1));
    if (!out.port) return std::nullopt;
    return out;
}

}  // namespace edgeproxy::http
