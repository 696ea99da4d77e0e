// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>

#include "proxy/admin/cells.hpp"
#include "proxy/admin/families.hpp"
#include "proxy/admin/metrics.hpp"

namespace edgeproxy::admin {
namespace {

constexpr std::array<std::string_view, ListenerCells::protocols> protocol_words{"none", "http/1.1", "h2"};
constexpr std::array<std::string_view, 2> state_words{"active", "idle"};
constexpr std::array<std::string_view, ListenerCells::tls_versions> tls_words{"none", "TLSv1.2", "TLSv1.3", "other"};
constexpr std::array<std::string_view, 2> resumed_words{"false", "true"};
constexpr std::array<std::string_view, RouteCells::classes> class_words{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

std::string_view method_word(http::Method method) {
    const std::string_view word = http::text(method);
    return word.empty() ? "other" : word;
}

std::string code_word(unsigned code) {
    return code == 0 ? "none" : std::to_string(code);
}

std::uint64_t observations(const upstream::DurationHistogram& histogram) {
    std::uint64_t count = 0;
    for (const Cell& bucket : histogram.buckets) count += bucket.value();
    return count;
}

double level(const Cell& up, const Cell& down) {
    // Read in this order, so that what happens in between does not show as less than nothing.
    const std::uint64_t gone = down.value();
    return static_cast<double>(up.value() - gone);
}

struct ConnectionFamilies {
    Family &open, &accepted, &refused, &handshakes, &handshake_duration, &floods;

    explicit ConnectionFamilies(Families& all)
        : open(all.gauge("edgeproxy_connections", "Open client connections; protocol is none during the TLS handshake.",
                         {"listener", "protocol", "state"})),
          accepted(all.counter("edgeproxy_connections_accepted_total", "Client connections accepted.", {"listener"})),
          refused(all.counter("edgeproxy_connections_refused_total", "Client connections closed unserved.",
                              {"listener", "reason"})),
          handshakes(all.counter("edgeproxy_tls_handshakes_total", "TLS handshakes by how they ended.",
                                 {"listener", "version", "resumed", "result"})),
          handshake_duration(all.histogram("edgeproxy_tls_handshake_duration_seconds",
                                           "Duration of TLS handshakes that succeeded.", {"listener"})),
          floods(all.counter("edgeproxy_tls_floods_total",
                             "Connections ended because of KeyUpdates, alerts or renegotiations without data.",
                             {"listener"})) {}

    /// Makes the series that are always there.
    void begin(std::string_view listener) {
        accepted.add({listener}, 0);
        for (std::size_t protocol = 1; protocol < protocol_words.size(); ++protocol) {
            for (const std::string_view state : state_words) open.add({listener, protocol_words[protocol], state}, 0);
        }
    }

    void add(std::string_view listener, const ListenerCells& cells) {
        accepted.add({listener}, static_cast<double>(cells.accepted.value()));
        for (std::size_t i = 0; i < refusals; ++i) {
            refused.add_seen({listener, word(static_cast<Refusal>(i))}, cells.refused[i].value());
        }
        for (std::size_t protocol = 0; protocol < protocol_words.size(); ++protocol) {
            for (std::size_t state = 0; state < state_words.size(); ++state) {
                const std::int64_t count = cells.open[protocol][state].value();
                if (count != 0) {
                    open.add({listener, protocol_words[protocol], state_words[state]}, static_cast<double>(count));
                }
            }
        }
        add_handshakes(listener, cells);
    }

    void add_handshakes(std::string_view listener, const ListenerCells& cells) {
        bool some = false;
        for (std::size_t version = 0; version < tls_words.size(); ++version) {
            for (std::size_t resumed = 0; resumed < resumed_words.size(); ++resumed) {
                for (std::size_t result = 0; result < handshake_results; ++result) {
                    const std::uint64_t count = cells.handshakes[version][resumed][result].value();
                    some = some || count != 0;
                    handshakes.add_seen({listener, tls_words[version], resumed_words[resumed],
                                         word(static_cast<HandshakeResult>(result))},
                                        count);
                }
            }
        }
        if (some) handshake_duration.add({listener}, cells.handshake_duration);
        floods.add_seen({listener}, cells.tls_floods.value());
    }
};

struct RequestFamilies {
    Family &requests, &duration, &overhead, &in_flight, &bytes_in, &bytes_out, &errors;

    explicit RequestFamilies(Families& all)
        : requests(all.counter("edgeproxy_http_requests_total",
                               "Finished requests; code is none when the client left before an answer, or when its "
                               "status is not 100 to 599; protocol http/1.1 counts HTTP/1.0 too.",
                               {"route", "method", "code", "protocol"})),
          duration(all.histogram("edgeproxy_http_request_duration_seconds",
                                 "Request head complete to the last byte of the answer sent; without tunnels.",
                                 {"route", "code_class"})),
          overhead(all.histogram("edgeproxy_http_overhead_duration_seconds",
                                 "What edgeproxy added itself: without queue, connect and endpoint.", {"route"})),
          in_flight(all.gauge("edgeproxy_http_requests_in_flight", "Requests under way, tunnels included.", {"route"})),
          bytes_in(all.counter("edgeproxy_http_request_bytes_total", "Bytes of request bodies.", {"route"})),
          bytes_out(all.counter("edgeproxy_http_response_bytes_total", "Bytes of answer bodies.", {"route"})),
          errors(all.counter("edgeproxy_http_errors_total", "Requests that edgeproxy itself answered or broke off.",
                             {"route", "reason"})) {}

    void add(std::string_view route, const RouteCells& cells) {
        cells.requests.each([&](const RequestKey& key, std::uint64_t count) {
            requests.add_seen({route, method_word(key.method), code_word(key.code), protocol_words[key.h2 ? 2 : 1]},
                              count);
        });
        requests.add_seen({route, "other", "none", protocol_words[1]}, cells.requests.beyond());
        for (std::size_t i = 0; i < class_words.size(); ++i) {
            if (observations(cells.duration[i]) != 0) duration.add({route, class_words[i]}, cells.duration[i]);
        }
        overhead.add({route}, cells.overhead);
        in_flight.add({route}, level(cells.begun, cells.ended));
        bytes_in.add({route}, static_cast<double>(cells.bytes_in.value()));
        bytes_out.add({route}, static_cast<double>(cells.bytes_out.value()));
        cells.errors.each([&](std::string_view reason, std::uint64_t count) {
            errors.add_seen({route, reason}, count);
        });
        errors.add_seen({route, "other"}, cells.errors.beyond());
    }
};

void add_listeners(Families& families, const MetricSources& sources) {
    ConnectionFamilies connections(families);
    const Names& names = sources.registry->listeners;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i != 0) connections.begin(names.name(i));
        for (const LaneCells* lane : sources.lanes) {
            if (const ListenerCells* cells = lane->find_listener(i)) connections.add(names.name(i), *cells);
        }
    }
}

void add_routes(Families& families, const MetricSources& sources) {
    RequestFamilies requests(families);
    const Names& names = sources.registry->routes;
    for (std::size_t i = 0; i < names.size(); ++i) {
        for (const LaneCells* lane : sources.lanes) {
            if (const RouteCells* cells = lane->find_route(i)) requests.add(names.name(i), *cells);
        }
    }
}

void add_http2(Families& families, const MetricSources& sources) {
    Family& ended = families.counter("edgeproxy_http2_connections_ended_total", "HTTP/2 connections by why they ended.",
                                     {"reason"});
    Family& glitches =
        families.counter("edgeproxy_http2_glitches_total",
                         "What clients wasted on HTTP/2 connections, each time it was charged.", {"reason"});
    Family& slow = families.counter("edgeproxy_http2_slow_streams_total",
                                    "HTTP/2 streams given up because their client was too slow.", {"reason"});
    Family& delayed = families.counter("edgeproxy_http2_delayed_streams_total",
                                       "HTTP/2 streams that began later because their client is wasteful.", {});
    delayed.add({}, 0);
    for (const LaneCells* lane : sources.lanes) {
        const Http2Cells& cells = lane->http2();
        for (std::size_t i = 0; i < http2_ends; ++i)
            ended.add_seen({word(static_cast<Http2End>(i))}, cells.ended[i].value());
        for (std::size_t i = 0; i < http::glitches; ++i)
            glitches.add_seen({http::word(static_cast<http::Glitch>(i))}, cells.glitches[i].value());
        for (std::size_t i = 0; i < slow_streams; ++i)
            slow.add_seen({word(static_cast<SlowStream>(i))}, cells.slow[i].value());
        delayed.add({}, static_cast<double>(cells.delayed.value()));
    }
}

void add_tunnels(Families& families, const MetricSources& sources) {
    Family& open = families.gauge("edgeproxy_websocket_tunnels", "Open WebSocket tunnels.", {"pool"});
    Family& opened = families.counter("edgeproxy_websocket_opened_total", "WebSocket tunnels opened.", {"pool"});
    const Names& names = sources.registry->pools;
    for (std::size_t i = 1; i < names.size(); ++i) {
        open.add({names.name(i)}, 0);
        opened.add({names.name(i)}, 0);
        for (const LaneCells* lane : sources.lanes) {
            const TunnelCells* cells = lane->find_tunnels(i);
            if (cells == nullptr) continue;
            open.add({names.name(i)}, level(cells->opened, cells->closed));
            opened.add({names.name(i)}, static_cast<double>(cells->opened.value()));
        }
    }
}

void add_overload(Families& families, const MetricSources& sources) {
    if (!sources.overload) return;
    const OverloadSample sample = sources.overload();
    families.gauge("edgeproxy_memory_budget_bytes", "limits.memory.")
        .add({}, static_cast<double>(sample.memory_budget));
    families.gauge("edgeproxy_memory_used_bytes", "Resident memory as the budget counts it.")
        .add({}, static_cast<double>(sample.memory_used));
    families.gauge("edgeproxy_memory_pressure", "0 none, 1 saving, 2 refusing requests, 3 cutting connections.")
        .add({}, static_cast<double>(sample.pressure));
    families.gauge("edgeproxy_overloaded_threads", "Reactor threads that refuse requests because they lag.")
        .add({}, static_cast<double>(sample.lagging));
}

}  // namespace

void add_proxy_families(Families& families, const MetricSources& sources) {
    add_listeners(families, sources);
    add_routes(families, sources);
    add_tunnels(families, sources);
    add_http2(families, sources);
    Family& malformed =
        families.counter("edgeproxy_http_malformed_total", "Requests that could not be read.", {"reason"});
    Family& dropped =
        families.counter("edgeproxy_http_fields_dropped_total",
                         "Fields of requests that were not passed on, hop-by-hop fields apart.", {"reason"});
    Family& delay = families.histogram("edgeproxy_event_loop_delay_seconds",
                                       "How late the timer of a reactor thread ran.", {"thread"});
    Family& exceptions = families.counter(
        "edgeproxy_exceptions_total", "Exceptions that ended a piece of work: bugs, or want of memory.", {"thread"});
    Family& hits = families.counter("edgeproxy_limit_hits_total", "Times that a limit made us act.", {"limit"});
    add_overload(families, sources);
    for (std::size_t i = 0; i < sources.lanes.size(); ++i) {
        const LaneCells& lane = *sources.lanes[i];
        for (std::size_t limit = 0; limit < limits; ++limit) {
            const auto one = static_cast<Limit>(limit);
            hits.add({word(one)}, static_cast<double>(lane.hits(one)));
        }
        const std::string thread = std::to_string(i);
        for (std::size_t reason = 1; reason < static_cast<std::size_t>(http::errc::count_); ++reason) {
            const auto error = static_cast<http::errc>(reason);
            malformed.add_seen({http::word(error)}, lane.malformed(error));
        }
        for (std::size_t i_drop = 0; i_drop < field_drops; ++i_drop) {
            const auto reason = static_cast<FieldDrop>(i_drop);
            dropped.add({word(reason)}, static_cast<double>(lane.dropped(reason)));
        }
        delay.add({thread}, lane.loop_delay());
        exceptions.add({thread}, static_cast<double>(lane.exceptions()));
    }
}

}  // namespace edgeproxy::admin
