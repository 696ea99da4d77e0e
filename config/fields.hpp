// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <charconv>

#include "config/config.hpp"
#include "config/text.hpp"
#include "config/values.hpp"

/// Which key is which member: said once, for the loader (Section) and for the writer (YamlWriter). The order is the
/// order of the canonical form, and within a pool it matters: what decides about defaults comes first.
namespace edgeproxy::config {

template <class Io>
void fields(Io& io, Shutdown& v) {
    io("delay", v.delay);
    io("grace_period", v.grace_period);
}

template <class Io>
void fields(Io& io, Server& v) {
    io("threads", v.threads);
    io("user", v.user);
    io("group", v.group);
    io("runtime_dir", v.runtime_dir);
    io("state_dir", v.state_dir);
    io("max_connections", v.max_connections);
    io("upgrade", v.upgrade);
    io.section("shutdown", v.shutdown);
}

template <class Io>
void fields(Io& io, ProcessLimits& v) {
    io("memory", v.memory);
    io("loop_lag", v.loop_lag);
    io("connections_per_source", v.connections_per_source);
    io("requests_per_source", v.requests_per_source);
    io("streams_per_source", v.streams_per_source);
}

template <class Io>
void fields(Io& io, ClientIp& v) {
    io("trusted_proxies", v.trusted_proxies);
}

template <class Io>
void fields(Io& io, ClientAuth& v) {
    io("mode", v.mode);
    io("ca", v.ca);
    io("crl", v.crl);
    io("depth", v.depth);
}

template <class Io>
void fields(Io& io, Certificate& v) {
    io("cert", v.cert);
    io("key", v.key);
    io("key_password_file", v.key_password_file);
    io("default", v.is_default);
    io("hosts", v.hosts);
    io("ocsp", v.ocsp);
    io.optional("client_auth", v.client_auth);
}

template <class Io>
void fields(Io& io, Tls& v) {
    io.list("certificates", v.certificates);
    io("dir", v.dir);
    io("dev", v.dev);
    io("profile", v.profile);
    io.trait("modern", v.profile == TlsProfile::modern);
    io("min_version", v.min_version);
    io("ciphers", v.ciphers);
    io("groups", v.groups);
    io("alpn", v.alpn);
    io("unknown_host", v.unknown_host);
    io("hsts", v.hsts);
    io("reload", v.reload);
    io.nest("session", [&](auto& session) { session("tickets", v.tickets); });
    io.section("client_auth", v.client_auth);
}

template <class Io>
void fields(Io& io, ListenerTimeouts& v) {
    io("handshake", v.handshake);
    io("first_request", v.first_request);
    io("header", v.header);
    io("body", v.body);
    io("write", v.write);
    io("keepalive", v.keepalive);
    io("tunnel_idle", v.tunnel_idle);
    io("connection_age", v.connection_age);
    io("settings_ack", v.settings_ack);
    io("ping_interval", v.ping_interval);
    io("ping", v.ping);
    io("proxy_protocol", v.proxy_protocol);
}

template <class Io>
void fields(Io& io, ListenerLimits& v) {
    io("request_line", v.request_line);
    io("header_size", v.header_size);
    io("headers", v.headers);
    io("requests_per_connection", v.requests_per_connection);
    io("body_rate", v.body_rate);
    io("response_rate", v.response_rate);
    io.custom(
        "handshakes_per_source",
        [&](const Field& field, std::string_view text) {
            if (text != "off") return read_failures(field, text, v.handshakes, v.handshake_window);
            v.handshakes = 0;
            return Complaint{};
        },
        [&](const Field&) { return v.handshakes == 0 ? "off" : write_failures(v.handshakes, v.handshake_window); });
}

/// `redirect: https` leaves the port to be found: 0 until then.
inline Complaint read_redirect(std::string_view text, Listener& v) {
    v.redirect_https = true;
    v.redirect_port = 0;
    if (text == "https") return {};
    const auto address = parse_address(text);
    if (!address || address->is_unix() || address->port == 0) {
        return {"bad-address", in_quotes(text) + " is no place to redirect to",
                "write https, or a port like \":8443\""};
    }
    v.redirect_port = address->port;
    return {};
}

template <class Io>
void fields(Io& io, Listener& v) {
    io("address", v.addresses);
    const bool secure_port = std::any_of(v.addresses.begin(), v.addresses.end(),
                                         [](const Address& a) { return a.port == 443 || a.port == 8443; });
    io.trait("secure_port", secure_port && io.has_trait("certificates"));
    io.own_tls(v);
    io.trait("tls", v.tls);
    io("protocols", v.protocols);
    io.custom(
        "redirect", [&](const Field&, std::string_view text) { return read_redirect(text, v); },
        [&](const Field&) { return v.redirect_https ? ":" + std::to_string(v.redirect_port) : std::string{}; });
    io("backlog", v.backlog);
    io("proxy_protocol", v.proxy_protocol);
    io.nest("http2", [&](auto& http2) {
        http2("max_streams", v.http2_max_streams);
        http2("glitches", v.http2_glitches);
        http2("glitch_rate", v.http2_glitch_rate);
        http2("window", v.http2_window);
        http2("connection_window", v.http2_connection_window);
    });
    io.section("timeouts", v.timeouts);
    io.section("limits", v.limits);
}

/// The words of `kind` and `bind` beyond the enumerations of the plan.
enum class KindChoice { uvicorn, gunicorn, hypercorn, daphne, generic, automatic };
enum class BindChoice { fd, unix_path, tcp, automatic };

template <class Io>
void fields(Io& io, WorkerResources& v) {
    io("memory", v.memory);
    if (Io::reads || v.open_files != 0) io("open_files", v.open_files);
    io("nice", v.nice);
    io.custom(
        "cpus", [&](const Field&, std::string_view text) { return read_cpus(text, v.spread_cpus, v.cpus); },
        [&](const Field&) { return write_cpus(v.spread_cpus, v.cpus); });
}

/// Everything around `command` but `env_file`, which is part of `environment` once it is read.
template <class Io>
void fields(Io& io, Command& v, KindChoice& kind, BindChoice& bind) {
    io("kind", kind);
    io("bind", bind);
    io("environment", v.environment);
    io("working_dir", v.working_dir);
    io("user", v.user);
    io("group", v.group);
    io("stop_signal", v.stop_signal);
    if (Io::reads || v.resources != WorkerResources{}) io.section("resources", v.resources);
    io("watch", v.watch);
}

/// What the proxy may know of the command.
template <class Io>
void managed_fields(Io& io, Command& v) {
    io("kind", v.kind);
    io("bind", v.bind);
    io("sync_worker", v.sync_worker);
}

template <class Io>
void fields(Io& io, Health& v) {
    io("path", v.path);
    io.trait("probed", !v.path.empty());
    io("interval", v.interval);
    io("timeout", v.timeout);
    io("unhealthy_after", v.unhealthy_after);
    io("healthy_after", v.healthy_after);
    io.custom(
        "expect",
        [&](const Field&, std::string_view text) { return read_status_range(text, v.expect_low, v.expect_high); },
        [&](const Field&) { return write_status_range(v.expect_low, v.expect_high); });
    io("host", v.host);
}

template <class Io>
void fields(Io& io, Outlier& v) {
    io("enabled", v.enabled);
    io("failures", v.failures);
    io("window", v.window);
    io("eject", v.eject);
}

template <class Io>
void fields(Io& io, Queue& v) {
    io("size", v.size);
    io("timeout", v.timeout);
}

template <class Io>
void fields(Io& io, PoolTimeouts& v) {
    io("connect", v.connect);
    io("response", v.response);
    io("idle", v.idle);
    io("write", v.write);
}

template <class Io>
void fields(Io& io, Keepalive& v) {
    io("max_idle", v.max_idle);
    io("idle_timeout", v.idle_timeout);
}

/// In the order of Scheme.
inline constexpr std::array<std::string_view, 3> scheme_words{"http", "https", "h2c"};

/// `https://a:443`, `h2c://a:80`, `http://a:80`, `a:80`.
inline Complaint read_endpoint(const Field& field, std::string_view text, Endpoint& v) {
    constexpr std::string_view mark = "://";
    std::string_view address = text;
    v.scheme = Scheme::http;
    if (const auto end = text.find(mark); end != std::string_view::npos) {
        const auto scheme = std::find(scheme_words.begin(), scheme_words.end(), text.substr(0, end));
        if (scheme == scheme_words.end())
            return {"bad-address", in_quotes(text) + " begins with a scheme that nobody speaks",
                    "begin with http://, https:// or h2c://"};
        v.scheme = static_cast<Scheme>(scheme - scheme_words.begin());
        address.remove_prefix(end + mark.size());
    }
    if (auto complaint = read_value(ValueContext{}, field, address, v.address)) {
        complaint.hint = "write it like 127.0.0.1:8000, name:8000, unix:/path or https://name:443";
        return complaint;
    }
    if (v.address.is_unix() || (!v.address.host.empty() && v.address.port != 0)) return {};
    return {"bad-address", in_quotes(text) + " is no endpoint: host and port are needed",
            v.address.host.empty() ? "write 127.0.0.1" + std::string(text) : std::string{}};
}

inline std::string write_endpoint(const Endpoint& v) {
    if (v.scheme == Scheme::http) return v.address.to_string();
    return std::string(scheme_words[static_cast<std::size_t>(v.scheme)]) + "://" + v.address.to_string();
}

template <class Io>
void fields(Io& io, PoolTls& v) {
    io("ca", v.ca);
    io("server_name", v.server_name);
    io("cert", v.cert);
    io("key", v.key);
    io("insecure", v.insecure);
}

template <class Io>
void fields(Io& io, Endpoint& v) {
    io.custom(
        "address", [&](const Field& field, std::string_view text) { return read_endpoint(field, text, v); },
        [&](const Field&) { return write_endpoint(v); });
    io("name", v.name);
    io("weight", v.weight);
    io("max_in_flight", v.max_in_flight);
    io.optional("tls", v.tls);
}

template <class Io>
void fields(Io& io, Restart& v) {
    io.custom(
        "backoff",
        [&](const Field& field, std::string_view text) { return read_span(field, text, v.backoff_min, v.backoff_max); },
        [&](const Field&) { return write_span(v.backoff_min, v.backoff_max); });
    io.custom(
        "crash_loop",
        [&](const Field& field, std::string_view text) {
            return read_failures(field, text, v.crash_loop_failures, v.crash_loop_window);
        },
        [&](const Field&) { return write_failures(v.crash_loop_failures, v.crash_loop_window); });
}

inline Complaint read_percent(std::string_view text, unsigned& percent) {
    std::string_view digits = text;
    if (digits.ends_with('%')) digits.remove_suffix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), percent);
    if (error == std::errc{} && end == digits.data() + digits.size() && percent <= 100) return {};
    return {"bad-share", in_quotes(text) + " is not a share", "write it like 10%"};
}

template <class Io>
void fields(Io& io, Recycle& v) {
    io("requests", v.requests);
    io.custom(
        "jitter", [&](const Field&, std::string_view text) { return read_percent(text, v.jitter); },
        [&](const Field&) { return std::to_string(v.jitter) + "%"; });
    io("lifetime", v.lifetime);
    io("memory", v.memory);
}

template <class Io>
void fields(Io& io, Autoscale& v) {
    io("min", v.min);
    io("max", v.max);
    io("queue_time", v.queue_time);
    io("up_after", v.up_after);
    io("down_after", v.down_after);
    io.custom(
        "memory", [&](const Field&, std::string_view text) { return read_percent(text, v.memory); },
        [&](const Field&) { return std::to_string(v.memory) + "%"; });
}

template <class Io>
void fields(Io& io, Hang& v) {
    io("suspect_after", v.suspect_after);
    io("kill_after", v.kill_after);
}

inline Complaint read_host_header(std::string_view text, Pool& v) {
    v.host_header = text == "preserve"   ? HostHeader::preserve
                    : text == "endpoint" ? HostHeader::endpoint
                                         : HostHeader::fixed;
    v.host_header_value = v.host_header == HostHeader::fixed ? std::string(text) : std::string{};
    const bool visible = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (!text.empty() && visible) return {};
    return {"bad-host", "this cannot be a Host", "write preserve, endpoint, or a name"};
}

template <class Io>
void fields(Io& io, Pool& v) {
    io.worker(v);
    io.list("endpoints", v.endpoints);
    io.resolve(v);
    io("protocol", v.protocol);
    if (Io::reads || v.tls != PoolTls{}) io.section("tls", v.tls);
    if (v.managed) {
        if (Io::reads || v.autoscale.max != 0) io.section("autoscale", v.autoscale);
        io("workers", v.workers);
        if constexpr (Io::reads) {
            if (v.autoscale.max != 0 && !io.written("workers")) v.workers = v.autoscale.min;
        }
        io("start_timeout", v.start_timeout);
        io("start_parallel", v.start_parallel);
        io("stop_grace_period", v.stop_grace_period);
        io.section("restart", v.restart);
        io.section("recycle", v.recycle);
        io.section("hang", v.hang);
        io("surge", v.surge);
    }
    io("drain_timeout", v.drain_timeout);
    io("required", v.required);
    io("balance", v.balance);
    io("max_in_flight", v.max_in_flight);
    io.section("queue", v.queue);
    io("hold", v.hold);
    if (Io::reads || v.managed || !v.health.path.empty()) io.section("health", v.health);
    io.section("outlier", v.outlier);
    io.section("keepalive", v.keepalive);
    io.section("timeouts", v.timeouts);
    io.nest("retries", [&](auto& retries) { retries("attempts", v.connect_retries); });
    io.custom(
        "host_header", [&](const Field&, std::string_view text) { return read_host_header(text, v); },
        [&](const Field&) {
            if (v.host_header == HostHeader::fixed) return v.host_header_value;
            return std::string(v.host_header == HostHeader::preserve ? "preserve" : "endpoint");
        });
}

template <class Io>
void fields(Io& io, Redirect& v) {
    io("to", v.to);
    io("status", v.status);
}

template <class Io>
void fields(Io& io, Respond& v) {
    io("status", v.status);
    io("body", v.body);
    io("content_type", v.content_type);
}

template <class Io>
void fields(Io& io, Route& v) {
    io("name", v.name);
    io("host", v.hosts);
    io("path", v.paths);
    io("method", v.methods);
    io("pool", v.pool);
    io.optional("redirect", v.redirect);
    io.optional("respond", v.respond);
    io("strip_prefix", v.strip_prefix);
    io("add_prefix", v.add_prefix);
    if (Io::reads || !v.pool.empty()) {
        io.nest("websocket", [&](auto& websocket) {
            websocket("enabled", v.websocket);
            websocket("idle_timeout", v.websocket_idle);
            websocket("max_tunnels", v.max_tunnels);
            websocket("allowed_origins", v.allowed_origins);
        });
    }
    io("max_body", v.max_body);
    io("access_log", v.access_log);
}

enum class ForwardedChoice { x, rfc7239, both, off };
enum class UnderscoreChoice { drop, pass };

template <class Io>
void fields(Io& io, Headers& v) {
    using enum ForwardedChoice;
    auto forwarded = v.forwarded_x ? (v.forwarded_rfc7239 ? both : x) : (v.forwarded_rfc7239 ? rfc7239 : off);
    io("forwarded", forwarded);
    v.forwarded_x = forwarded == x || forwarded == both;
    v.forwarded_rfc7239 = forwarded == rfc7239 || forwarded == both;
    io("request_id", v.request_id);
    io("server", v.server);
    io("via", v.via);
    auto underscores = v.pass_underscores ? UnderscoreChoice::pass : UnderscoreChoice::drop;
    io("underscores", underscores);
    v.pass_underscores = underscores == UnderscoreChoice::pass;
}

template <class Io>
void fields(Io& io, ErrorPages& v) {
    io("format", v.format);
    io("details", v.details);
}

template <class Io>
void fields(Io& io, AccessLog& v) {
    io("enabled", v.enabled);
    io("output", v.output);
    io("format", v.format);
    io("exclude", v.exclude);
}

template <class Io>
void fields(Io& io, Logging& v) {
    io("level", v.level);
    io("format", v.format);
    io("output", v.output);
    io.section("access", v.access);
}

template <class Io>
void fields(Io& io, Metrics& v) {
    io("enabled", v.enabled);
    io("listen", v.listen);
    io("path", v.path);
}

template <class Io>
void fields(Io& io, Config& v) {
    unsigned version = 1;
    io("version", version);
    io.section("server", v.server);
    io.section("limits", v.limits);
    io.section("client_ip", v.client_ip);
    if (io.keeps(v.tls)) io.section("tls", v.tls);
    io.trait("certificates", v.tls.has_certificates());
    io.default_protocols(v.tls.alpn);
    io.named("listeners", v.listeners);
    io.named("pools", v.pools);
    io.list("routes", v.routes);
    io.section("headers", v.headers);
    io.section("error_pages", v.error_pages);
    io.section("logging", v.logging);
    io.section("metrics", v.metrics);
}

}  // namespace edgeproxy::config
