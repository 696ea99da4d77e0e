// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/proxy_protocol.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace edgeproxy::http {
namespace {

using Status = ProxyHeaderResult::Status;
constexpr std::string_view v1_begin = "PROXY ";
constexpr std::string_view v2_signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t v2_fixed = 16;  ///< signature, version and command, family and transport, length
constexpr ProxyHeaderResult malformed{Status::malformed, 0};
constexpr ProxyHeaderResult incomplete{Status::incomplete, 0};

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t word_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

void set_v4(std::array<std::uint8_t, 16>& ip, std::string_view four) {
    ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::copy(four.begin(), four.end(), ip.begin() + 12);
}

/// What stands before the next blank, which is taken along. Empty at two blanks, or at the end.
std::string_view take_word(std::string_view& rest) {
    const std::size_t blank = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, blank);
    rest.remove_prefix(std::min(blank + 1, rest.size()));
    return word;
}

bool read_ip(std::string_view text, bool v6, std::array<std::uint8_t, 16>& ip) {
    char literal[INET6_ADDRSTRLEN] = {};
    if (text.empty() || text.size() >= sizeof literal) return false;
    std::copy(text.begin(), text.end(), literal);
    char bytes[16];
    if (::inet_pton(v6 ? AF_INET6 : AF_INET, literal, bytes) != 1) return false;
    if (v6) {
        std::copy(bytes, bytes + 16, ip.begin());
    } else {
        set_v4(ip, {bytes, 4});
    }
    return true;
}

bool read_port(std::string_view text, std::uint16_t& port) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

/// `TCP4 192.0.2.1 198.51.100.1 56324 443`
bool read_v1(std::string_view rest, ProxyHeader& header) {
    const std::string_view family = take_word(rest);
    if (family == "UNKNOWN") return true;  // what follows is to be ignored
    if (family != "TCP4" && family != "TCP6") return false;
    const bool v6 = family == "TCP6";
    // Four words with one blank between two of them.
    if (std::count(rest.begin(), rest.end(), ' ') != 3) return false;
    header.known =
        read_ip(take_word(rest), v6, header.source.ip) && read_ip(take_word(rest), v6, header.destination.ip) &&
        read_port(take_word(rest), header.source.port) && read_port(take_word(rest), header.destination.port);
    return header.known;
}

ProxyHeaderResult read_line(std::string_view bytes, ProxyHeader& header) {
    const std::string_view begin = bytes.substr(0, v1_begin.size());
    if (begin != v1_begin.substr(0, begin.size())) return malformed;
    const std::string_view line = bytes.substr(0, max_proxy_v1);
    const std::size_t end = line.find('\n');
    if (end == std::string_view::npos) {
        // A CR ends the line, and nothing but LF follows it.
        const std::size_t cr = line.find('\r');
        const bool cut = cr != std::string_view::npos && cr + 1 < line.size();
        return line.size() == max_proxy_v1 || cut ? malformed : incomplete;
    }
    if (line.find('\r') + 1 != end || line.find('\0') < end) return malformed;
    if (end < v1_begin.size() || !read_v1(line.substr(v1_begin.size(), end - 1 - v1_begin.size()), header))
        return malformed;
    return {Status::complete, end + 1};
}

/// The addresses of version 2; `family`: 1 = IPv4, 2 = IPv6, else none that we know.
bool read_addresses(std::string_view body, unsigned family, ProxyHeader& header) {
    const std::size_t size = family == 1 ? 4 : 16;
    if (family != 1 && family != 2) return true;
    if (body.size() < 2 * size + 4) return false;
    const auto put = [&](std::size_t at, std::array<std::uint8_t, 16>& ip) {
        if (family == 1) return set_v4(ip, body.substr(at, size));
        std::copy_n(body.begin() + static_cast<std::ptrdiff_t>(at), size, ip.begin());
    };
    put(0, header.source.ip);
    put(size, header.destination.ip);
    header.source.port = word_at(body, 2 * size);
    header.destination.port = word_at(body, 2 * size + 2);
    header.known = true;
    return true;
}

ProxyHeaderResult read_binary(std::string_view bytes, ProxyHeader& header) {
    const std::string_view begin = bytes.substr(0, v2_signature.size());
    if (begin != v2_signature.substr(0, begin.size())) return malformed;
    constexpr std::size_t command_at = 12, family_at = 13, length_at = 14;
    constexpr unsigned local = 0x20, proxy = 0x21, most_families = 3, datagram = 2;
    if (bytes.size() <= command_at) return incomplete;
    const unsigned command = byte_at(bytes, command_at);
    if (command != local && command != proxy) return malformed;
    if (bytes.size() <= family_at) return incomplete;
    const unsigned family = byte_at(bytes, family_at) >> 4, transport = byte_at(bytes, family_at) & 0xf;
    // A local connection's family is of no interest.
    if (command == proxy && (family > most_families || transport >= datagram)) return malformed;
    if (bytes.size() < v2_fixed) return incomplete;
    const std::size_t size = v2_fixed + word_at(bytes, length_at);
    if (size > max_proxy_v2) return malformed;
    if (bytes.size() < size) return incomplete;
    const std::string_view body = bytes.substr(v2_fixed, size - v2_fixed);
    const bool stream = command == proxy && transport == 1;
    if (stream && !read_addresses(body, family, header)) return malformed;
    return {Status::complete, size};
}

}  // namespace

ProxyHeaderResult read_proxy_header(std::string_view bytes, ProxyHeader& header) {
    header = {};
    if (bytes.empty()) return incomplete;
    return bytes.front() == v2_signature.front() ? read_binary(bytes, header) : read_line(bytes, header);
}

}  // namespace edgeproxy::http
