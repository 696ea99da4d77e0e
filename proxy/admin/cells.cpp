// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/cells.hpp"

namespace edgeproxy::admin {
namespace {

std::size_t index_of_version(std::string_view version) {
    if (version.empty()) return 0;
    if (version == "TLSv1.2") return 1;
    return version == "TLSv1.3" ? 2 : 3;
}

}  // namespace

std::string_view word(Refusal reason) {
    constexpr std::array<std::string_view, refusals> words{"descriptor_limit_reached", "handshake_rate",
                                                           "handshake_limit",          "source_limit_reached",
                                                           "bad_proxy_header",         "late_proxy_header"};
    return words[static_cast<std::size_t>(reason)];
}

std::string_view word(FieldDrop reason) {
    constexpr std::array<std::string_view, field_drops> words{"underscore", "server_only", "client_identity", "trailer",
                                                              "connection"};
    return words[static_cast<std::size_t>(reason)];
}

std::string_view word(Limit limit) {
    constexpr std::array<std::string_view, limits> words{"max_connections",
                                                         "descriptors",
                                                         "connections_per_source",
                                                         "requests_per_source",
                                                         "streams_per_source",
                                                         "loop_lag",
                                                         "memory_saving",
                                                         "memory_refusing",
                                                         "memory_cutting",
                                                         "first_request",
                                                         "header",
                                                         "body",
                                                         "body_rate",
                                                         "write",
                                                         "response_rate",
                                                         "proxy_protocol"};
    return words[static_cast<std::size_t>(limit)];
}

std::string_view word(HandshakeResult result) {
    constexpr std::array<std::string_view, handshake_results> words{"ok",
                                                                    "timeout",
                                                                    "closed",
                                                                    "tls_alert_received",
                                                                    "tls_protocol_error",
                                                                    "plain_http",
                                                                    "no_protocol",
                                                                    "unknown_host",
                                                                    "nothing_shared",
                                                                    "too_large",
                                                                    "no_client_certificate",
                                                                    "client_revoked",
                                                                    "client_expired",
                                                                    "client_unknown_ca",
                                                                    "client_invalid"};
    return words[static_cast<std::size_t>(result)];
}

std::string_view word(Http2End end) {
    constexpr std::array<std::string_view, http2_ends> words{"client",
                                                             "idle",
                                                             "drain",
                                                             "age",
                                                             "requests",
                                                             "protocol_error",
                                                             "glitches",
                                                             "continuation",
                                                             "outbound_queue",
                                                             "header_timeout",
                                                             "settings_timeout",
                                                             "ping_timeout",
                                                             "response_rate",
                                                             "stalled",
                                                             "write_timeout"};
    return words[static_cast<std::size_t>(end)];
}

std::string_view word(SlowStream reason) {
    constexpr std::array<std::string_view, slow_streams> words{"body_timeout", "body_rate", "write_timeout",
                                                               "response_rate"};
    return words[static_cast<std::size_t>(reason)];
}

void ListenerCells::count_handshake(std::string_view version, bool resumed, HandshakeResult result,
                                    std::chrono::nanoseconds length) {
    handshakes[index_of_version(version)][resumed ? 1 : 0][static_cast<std::size_t>(result)].add();
    if (result == HandshakeResult::ok) handshake_duration.observe(length);
}

void LaneCells::count(const ExchangeFigures& figures) {
    RouteCells& route = routes_.at(figures.route_index);
    const auto code = static_cast<std::uint16_t>(figures.status >= 100 && figures.status < 600 ? figures.status : 0);
    route.requests.at({code, figures.method, figures.protocol == http::Version::h2}).add();
    if (!figures.websocket) {
        route.duration[code / 100].observe(figures.total);
        route.overhead.observe(figures.overhead());
    }
    if (figures.begun) route.ended.add();
    route.bytes_in.add(figures.bytes_in);
    route.bytes_out.add(figures.bytes_out);
    if (!figures.error.empty()) route.errors.at(figures.error).add();
}

}  // namespace edgeproxy::admin
