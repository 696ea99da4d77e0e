// SPDX-License-Identifier: Apache-2.0
#include "proxy/identity.hpp"

#include <algorithm>
#include <charconv>

#include "proxy/http/authority.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::proxy {
namespace {

using http::FieldId;

bool trusts(const config::ClientIp& rules, const std::uint8_t (&ip)[16]) {
    return std::any_of(rules.trusted_proxies.begin(), rules.trusted_proxies.end(),
                       [&](const config::Cidr& range) { return range.contains(ip); });
}

/// The walk over all X-Forwarded-For fields, last entry first.
void walk_forwarded_for(const http::Fields& fields, const config::ClientIp& rules, Identity& out) {
    unsigned hops = 0;
    for (std::size_t i = fields.size(); i-- > 0;) {
        if (fields[i].id != FieldId::x_forwarded_for) continue;
        for (std::string_view rest = fields[i].value;;) {
            const std::size_t comma = rest.rfind(',');
            const std::string_view entry = http::trim(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
            const auto ip = config::parse_ip(entry);
            if (!ip || ++hops > max_forwarded_hops) return;
            out.client_ip = entry;
            if (!trusts(rules, ip->bytes)) return;
            if (comma == std::string_view::npos) break;
            rest = rest.substr(0, comma);
        }
    }
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void believe(const http::Request& request, const config::ClientIp& rules, std::string_view request_id_field,
             Identity& out) {
    const http::Fields& fields = request.fields;
    walk_forwarded_for(fields, rules, out);
    const std::string_view proto = fields.value(FieldId::x_forwarded_proto);
    if (http::iequals(proto, "https")) out.proto = "https";
    if (http::iequals(proto, "http")) out.proto = "http";
    if (const auto host = fields.value(FieldId::x_forwarded_host); http::parse_authority(host)) out.host = host;
    if (const auto port = fields.value(FieldId::x_forwarded_port); is_port(port)) out.port = port;
    if (request_id_field.empty()) return;
    const http::Field* id = fields.find(request_id_field);
    if (id != nullptr && is_request_id(id->value)) out.request_id = id->value;
}

/// address:port, with brackets around an IPv6 address.
std::size_t write_peer(const io::Peer& peer, std::string_view address, std::array<char, 56>& out) {
    const bool v6 = address.find(':') != std::string_view::npos;
    char* at = out.data();
    if (v6) *at++ = '[';
    at = std::copy(address.begin(), address.end(), at);
    if (v6) *at++ = ']';
    if (peer.is_ip) {
        *at++ = ':';
        at = std::to_chars(at, out.data() + out.size(), peer.port).ptr;
    }
    return static_cast<std::size_t>(at - out.data());
}

}  // namespace

bool is_request_id(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    };
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), allowed);
}

bool is_trusted(const config::ClientIp& rules, const io::Peer& peer) {
    if (rules.trusted_proxies.empty() || !peer.is_ip) return false;
    std::uint8_t ip[16];
    std::copy(peer.ip.begin(), peer.ip.end(), ip);
    return trusts(rules, ip);
}

void identify(const http::Request& request, const Arrival& arrival, const config::ClientIp& rules,
              std::string_view request_id_field, Identity& out) {
    out.client_ip = {out.ip_text.data(), arrival.peer.write(out.ip_text.data())};
    out.peer_size = write_peer(arrival.peer, out.client_ip, out.peer_text);
    out.request_id = {};
    out.trusted = false;
    out.proto = arrival.tls ? "https" : "http";
    out.host = request.authority;
    out.port = arrival.local_port;
    out.asks_certificate = arrival.asks_certificate;
    out.certificate = arrival.certificate;
    out.trusted = is_trusted(rules, arrival.peer);
    if (out.trusted) believe(request, rules, request_id_field, out);
}

}  // namespace edgeproxy::proxy
