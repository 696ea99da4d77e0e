// SPDX-License-Identifier: Apache-2.0
#include "config/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace edgeproxy::config {

namespace {

constexpr std::size_t longest_unix_path = 107;  // sockaddr_un::sun_path without its final zero
constexpr std::size_t longest_host = 253;       // RFC 1035, section 2.3.4, in text form
constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view inherited_prefix = "fd:";
constexpr std::size_t longest_fd_name = 255;  // FDNAME_MAX of systemd
constexpr std::uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned mapped_bits = 96;

std::optional<std::uint16_t> parse_number_16(std::string_view text) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
    unsigned value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    if (value > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(value);
}

bool is_ipv4(const std::string& host) {
    in_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

/// Without a zone: link-local zones are names of interfaces, which a literal cannot promise.
bool is_ipv6(const std::string& host) {
    in6_addr address{};
    return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

/// Letters, digits, hyphens, underscores (compose service names have them) in labels that are not empty; not all digits
/// and dots.
bool is_name(std::string_view host) {
    if (host.empty() || host.size() > longest_host || host.front() == '.') return false;
    bool letters = false;
    char previous = '.';
    for (const char c : host) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '.') return false;
        if (c == '.' && previous == '.') return false;
        letters = letters || letter;
        previous = c;
    }
    return letters;
}

std::optional<Address> parse_unix(std::string_view path) {
    if (path.empty() || path.front() != '/' || path.size() > longest_unix_path) return std::nullopt;
    if (path.find('\0') != std::string_view::npos) return std::nullopt;
    return Address{Address::Kind::unix_path, std::string(path), 0};
}

/// All digits would be a port: a host may be called "fd".
std::optional<Address> parse_inherited(std::string_view name) {
    bool letters = false;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
        if (!letter && (c < '0' || c > '9')) return std::nullopt;
        letters = letters || letter;
    }
    if (!letters || name.size() > longest_fd_name) return std::nullopt;
    return Address{Address::Kind::inherited, std::string(name), 0};
}

std::string ip_text(const std::uint8_t (&bytes)[16]) {
    char buffer[INET6_ADDRSTRLEN] = {};
    if (std::memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        inet_ntop(AF_INET, bytes + sizeof mapped_prefix, buffer, sizeof buffer);
    } else {
        inet_ntop(AF_INET6, bytes, buffer, sizeof buffer);
    }
    return buffer;
}

}  // namespace

bool Address::is_loopback() const {
    if (is_inherited()) return false;  // nobody knows where it was bound
    if (is_unix() || host == "localhost") return true;
    const auto ip = parse_ip(host);
    if (!ip) return false;
    if (std::memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) == 0) return ip->bytes[12] == 127;
    return *ip == parse_ip("::1");
}

bool Address::is_literal() const {
    return kind != Kind::tcp || host.empty() || parse_ip(host).has_value();
}

std::string Address::to_string() const {
    if (is_unix()) return std::string(unix_prefix) + host;
    if (is_inherited()) return std::string(inherited_prefix) + host;
    const bool brackets = host.find(':') != std::string::npos;
    return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Address> parse_address(std::string_view text) {
    if (text.starts_with(unix_prefix)) return parse_unix(text.substr(unix_prefix.size()));
    if (text.starts_with(inherited_prefix)) {
        if (auto inherited = parse_inherited(text.substr(inherited_prefix.size()))) return inherited;
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = parse_number_16(text.substr(colon + 1));
    if (!port) return std::nullopt;
    std::string host(text.substr(0, colon));
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (!is_ipv6(host)) return std::nullopt;
    } else if (!host.empty() && !is_ipv4(host) && !is_name(host)) {
        return std::nullopt;
    }
    return Address{Address::Kind::tcp, std::move(host), *port};
}

bool Cidr::contains(const std::uint8_t (&address)[16]) const {
    const std::size_t whole = prefix / 8;
    if (std::memcmp(bytes, address, whole) != 0) return false;
    const unsigned rest = prefix % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
    return (bytes[whole] & mask) == (address[whole] & mask);
}

std::string Cidr::to_string() const {
    // A prefix below 96 bits is not an IPv4 range, whatever the bytes look like.
    const bool mapped = prefix >= mapped_bits && std::memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
    if (mapped) return ip_text(bytes) + "/" + std::to_string(prefix - mapped_bits);
    char buffer[INET6_ADDRSTRLEN] = {};
    inet_ntop(AF_INET6, bytes, buffer, sizeof buffer);
    return std::string(buffer) + "/" + std::to_string(prefix);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = text.substr(0, slash);
    const auto ip = parse_ip(address);
    if (!ip) return std::nullopt;
    const bool v4 = address.find(':') == std::string_view::npos;
    unsigned prefix = v4 ? 32 : 128;
    if (slash != std::string_view::npos) {
        const auto written = parse_number_16(text.substr(slash + 1));
        if (!written || *written > prefix) return std::nullopt;
        prefix = *written;
    }
    Cidr result;
    std::memcpy(result.bytes, ip->bytes, sizeof result.bytes);
    result.prefix = static_cast<std::uint8_t>(v4 ? prefix + mapped_bits : prefix);
    // Bits behind the prefix mean nothing: cleared, so that equal ranges compare equal.
    for (unsigned bit = result.prefix; bit < 128; ++bit) {
        result.bytes[bit / 8] = static_cast<std::uint8_t>(result.bytes[bit / 8] & ~(0x80u >> (bit % 8)));
    }
    return result;
}

std::optional<IpBytes> parse_ip(std::string_view text) {
    if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    char buffer[INET6_ADDRSTRLEN] = {};
    std::memcpy(buffer, text.data(), text.size());
    IpBytes result;
    std::memcpy(result.bytes, mapped_prefix, sizeof mapped_prefix);
    if (inet_pton(AF_INET, buffer, result.bytes + sizeof mapped_prefix) == 1) return result;
    if (inet_pton(AF_INET6, buffer, result.bytes) == 1) return result;
    return std::nullopt;
}

}  // namespace edgeproxy::config
