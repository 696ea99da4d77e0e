// SPDX-License-Identifier: Apache-2.0
#include "config/synonyms.hpp"

#include <algorithm>

#include "config/field_table.hpp"

namespace edgeproxy::config {

namespace {

constexpr std::string_view pool = "pools.<name>", listener = "listeners.<name>", route = "routes[]",
                           cert = "tls.certificates[]";

constexpr std::string_view no_http3 = "HTTP/3 is not supported yet",
                           no_compression = "compression is not supported yet",
                           no_files = "static files are not supported yet", no_cache = "caching is not supported yet";

constexpr Synonym table[] = {
    // what people look for and we do not have
    {"", "http3", no_http3},
    {"", "quic", no_http3},
    {listener, "http3", no_http3},
    {listener, "quic", no_http3},
    {"", "compress", no_compression},
    {"", "compression", no_compression},
    {"", "gzip", no_compression},
    {"", "brotli", no_compression},
    {listener, "compression", no_compression},
    {listener, "gzip", no_compression},
    {route, "compression", no_compression},
    {route, "brotli", no_compression},
    {"", "static", no_files},
    {route, "files", no_files},
    {route, "directory", no_files},
    {"", "cache", no_cache},
    {route, "cache", no_cache},
    // docker-compose, gunicorn, uvicorn, pm2: processes
    {pool, "replicas", "workers"},
    {pool, "instances", "workers"},
    {pool, "processes", "workers"},
    {pool, "scale", "workers"},
    {pool, "num_workers", "workers"},
    {pool, "numprocs", "workers"},
    {pool, "worker_count", "workers"},
    {pool, "worker_processes", "workers"},
    {pool, "autoscaling", "autoscale"},
    {"pools.<name>.autoscale", "minimum", "min"},
    {"pools.<name>.autoscale", "maximum", "max"},
    {pool, "min_workers", "workers"},
    {pool, "max_workers", "workers"},
    {pool, "cmd", "command"},
    {pool, "exec", "command"},
    {pool, "program", "command"},
    {pool, "entrypoint", "command"},
    {pool, "env", "environment"},
    {pool, "envs", "environment"},
    {pool, "environ", "environment"},
    {pool, "dotenv", "env_file"},
    {pool, "cwd", "working_dir"},
    {pool, "chdir", "working_dir"},
    {pool, "directory", "working_dir"},
    {pool, "workdir", "working_dir"},
    {pool, "working_directory", "working_dir"},
    {pool, "graceful_timeout", "stop_grace_period"},
    {pool, "stop_timeout", "stop_grace_period"},
    {pool, "kill_timeout", "stop_grace_period"},
    {pool, "stopwaitsecs", "stop_grace_period"},
    {pool, "stopsignal", "stop_signal"},
    {pool, "kill_signal", "stop_signal"},
    {pool, "boot_timeout", "start_timeout"},
    {pool, "startup_timeout", "start_timeout"},
    {pool, "max_requests", "recycle.requests"},
    {pool, "max_requests_jitter", "recycle.jitter"},
    {pool, "max_memory_restart", "recycle.memory"},
    {pool, "depends_on", "not needed: requests wait until a worker is ready, whatever starts first"},
    {pool, "worker_class", "written in the command: gunicorn -k uvicorn_worker.UvicornWorker"},
    {pool, "type", "kind"},
    {"pools.<name>.tls", "ca_file", "ca"},
    {"pools.<name>.tls", "cafile", "ca"},
    {"pools.<name>.tls", "trusted_ca", "ca"},
    {"pools.<name>.tls", "sni", "server_name"},
    {"pools.<name>.tls", "verify", "on unless insecure: true"},
    {"pools.<name>.tls", "skip_verify", "insecure"},
    {"pools.<name>.tls", "insecure_skip_verify", "insecure"},
    {"pools.<name>.tls", "client_cert", "cert"},
    {"pools.<name>.tls", "client_key", "key"},
    {pool, "server", "write kind, or endpoints"},
    // nginx, HAProxy, Caddy, Traefik, Envoy: balancing
    {pool, "healthcheck", "health"},
    {pool, "health_check", "health"},
    {pool, "health_checks", "health"},
    {pool, "probe", "health"},
    {pool, "health_uri", "health"},
    {pool, "health_path", "health"},
    {pool, "readiness_probe", "health"},
    {pool, "liveness_probe", "health"},
    {pool, "lb_policy", "balance"},
    {pool, "strategy", "balance"},
    {pool, "lb", "balance"},
    {pool, "algorithm", "balance"},
    {pool, "load_balancing", "balance"},
    {pool, "balancer", "balance"},
    {pool, "upstream", "endpoints"},
    {pool, "upstreams", "endpoints"},
    {pool, "backend", "endpoints"},
    {pool, "backends", "endpoints"},
    {pool, "targets", "endpoints"},
    {pool, "servers", "endpoints"},
    {pool, "hosts", "endpoints"},
    {pool, "to", "endpoints"},
    {pool, "passive", "outlier"},
    {pool, "passive_health", "outlier"},
    {pool, "outlier_detection", "outlier"},
    {pool, "circuit_breaker", "outlier"},
    {pool, "max_fails", "outlier.failures"},
    {pool, "fail_timeout", "outlier.window"},
    {pool, "max_requests_per_endpoint", "max_in_flight"},
    {pool, "maxconn", "max_in_flight"},
    {pool, "max_conns", "max_in_flight"},
    {pool, "max_connections", "max_in_flight"},
    {pool, "concurrency", "max_in_flight"},
    {pool, "retry", "retries"},
    {pool, "connect_timeout", "timeouts.connect"},
    {pool, "read_timeout", "timeouts.response"},
    {pool, "proxy_read_timeout", "timeouts.response"},
    {pool, "timeout", "timeouts.response"},
    {pool, "drain", "drain_timeout"},
    {pool, "bind_address", "not needed: edgeproxy gives every worker its own socket"},
    {pool, "port", "not needed: edgeproxy gives every worker its own socket; for servers of others write endpoints"},
    {pool, "ports", "not needed: edgeproxy gives every worker its own socket; for servers of others write endpoints"},
    {"pools.<name>.health", "uri", "path"},
    {"pools.<name>.health", "url", "path"},
    {"pools.<name>.health", "fall", "unhealthy_after"},
    {"pools.<name>.health", "rise", "healthy_after"},
    {"pools.<name>.health", "retries", "unhealthy_after"},
    {"pools.<name>.health", "status", "expect"},
    {"pools.<name>.endpoints[]", "url", "address"},
    {"pools.<name>.endpoints[]", "host", "address"},
    {"pools.<name>.endpoints[]", "server", "address"},
    {"pools.<name>.endpoints[]", "max_requests", "max_in_flight"},
    {"pools.<name>.endpoints[]", "maxconn", "max_in_flight"},
    {"pools.<name>.timeouts", "read", "write response, or idle for gaps in the body"},
    {"pools.<name>.timeouts", "send", "write"},
    {"pools.<name>.queue", "max", "size"},
    {"pools.<name>.keepalive", "idle", "idle_timeout"},
    {"pools.<name>.keepalive", "timeout", "idle_timeout"},
    // routes
    {route, "proxy_pass", "pool"},
    {route, "reverse_proxy", "pool"},
    {route, "backend", "pool"},
    {route, "upstream", "pool"},
    {route, "service", "pool"},
    {route, "to", "pool"},
    {route, "location", "path"},
    {route, "prefix", "path"},
    {route, "path_prefix", "path"},
    {route, "uri", "path"},
    {route, "match", "path"},
    {route, "server_name", "host"},
    {route, "domain", "host"},
    {route, "domains", "host"},
    {route, "hosts", "host"},
    {route, "hostname", "host"},
    {route, "methods", "method"},
    {route, "client_max_body_size", "max_body"},
    {route, "limit_body", "max_body"},
    {route, "max_body_size", "max_body"},
    {route, "return", "write respond, or redirect"},
    {route, "root", "static.root"},
    {route, "alias", "static.root"},
    {route, "rewrite", "write strip_prefix and add_prefix"},
    {route, "gzip", "compress"},
    {route, "headers", "write request_headers, response_headers"},
    {route, "ws", "websocket"},
    {route, "websockets", "websocket"},
    {"routes[].redirect", "url", "to"},
    {"routes[].redirect", "code", "status"},
    {"routes[].respond", "code", "status"},
    {"routes[].respond", "type", "content_type"},
    // listeners
    {listener, "bind", "address"},
    {listener, "listen", "address"},
    {listener, "port", "address"},
    {listener, "ports", "address"},
    {listener, "addr", "address"},
    {listener, "ssl", "tls"},
    {listener, "alpn", "protocols"},
    {listener, "accept_proxy", "write proxy_protocol: required"},
    {listener, "max_header_size", "limits.header_size"},
    {listener, "max_headers", "limits.headers"},
    {"listeners.<name>.timeouts", "idle", "keepalive"},
    {"listeners.<name>.timeouts", "read", "write header for the head, body for gaps in a body"},
    {"listeners.<name>.limits", "header_bytes", "header_size"},
    {"limits", "memory_budget", "memory"},
    {"limits", "max_connections", "write server.max_connections"},
    {"limits", "max_connections_per_source", "connections_per_source"},
    {"limits", "request_rate_per_source", "requests_per_source"},
    {"limits", "rate", "requests_per_source"},
    {"listeners.<name>.limits", "max_headers", "headers"},
    // certificates
    {"tls", "certfile", "cert"},
    {"tls", "keyfile", "key"},
    {"tls", "ssl_certificate", "cert"},
    {"tls", "ssl_certificate_key", "key"},
    {"tls", "certificate", "cert"},
    {"tls", "crt", "cert"},
    {"tls", "min", "profile"},
    {cert, "certfile", "cert"},
    {cert, "keyfile", "key"},
    {cert, "ssl_certificate", "cert"},
    {cert, "ssl_certificate_key", "key"},
    {cert, "certificate", "cert"},
    {cert, "crt", "cert"},
    {cert, "domains", "hosts"},
    {cert, "server_name", "hosts"},
    // top level
    {"", "bind", "listen"},
    {"", "port", "listen"},
    {"", "ports", "listen"},
    {"", "address", "listen"},
    {"", "entrypoints", "listeners"},
    {"", "entryPoints", "listeners"},
    {"", "ssl", "tls"},
    {"", "certificates", "tls.certificates"},
    {"", "upstream", "pools"},
    {"", "upstreams", "pools"},
    {"", "backend", "pools"},
    {"", "backends", "pools"},
    {"", "services", "pools"},
    {"", "apps", "pools"},
    {"", "servers", "write listeners, pools"},
    {"", "locations", "routes"},
    {"", "routers", "routes"},
    {"", "log", "logging"},
    {"", "logs", "logging"},
    {"", "access_log", "logging.access"},
    {"", "accesslog", "logging.access"},
    {"", "log_level", "logging.level"},
    {"", "prometheus", "metrics"},
    {"", "trusted_proxies", "client_ip.trusted_proxies"},
    {"server", "worker_processes", "threads"},
    {"server", "workers", "write threads for the proxy's own threads, pools.<name>.workers for processes of the app"},
    {"server", "graceful_timeout", "shutdown.grace_period"},
    {"server", "worker_connections", "max_connections"},
    {"logging", "access_log", "access"},
    {"logging", "file", "output"},
    {"logging", "path", "output"},
    {"logging.access", "file", "output"},
    {"logging.access", "path", "output"},
    {"metrics", "address", "listen"},
    {"metrics", "port", "listen"},
    {"metrics", "bind", "listen"},
};

/// Edits between two words: insert, delete, replace, swap neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

/// The section of the one other place where this key exists, if it is exactly one.
std::string_view home_of(std::string_view word) {
    std::string_view home;
    unsigned homes = 0;
    for (const Field& field : field_table()) {
        const auto cut = field.path.size() - last_part(field.path).size();
        if (last_part(field.path) != word || !field.supported() || field.type == FieldType::any || cut == 0) continue;
        home = field.path.substr(0, cut - 1);
        ++homes;
    }
    return homes == 1 ? home : std::string_view{};
}

}  // namespace

std::span<const Synonym> synonyms() {
    return table;
}

std::string hint_for_key(std::string_view section, std::string_view word) {
    for (const Synonym& synonym : table) {
        if (synonym.section != section || synonym.word != word) continue;
        if (synonym.answer.find(' ') != std::string_view::npos) return std::string(synonym.answer);
        return "edgeproxy calls this \"" + std::string(synonym.answer) + '"';
    }
    std::vector<std::string_view> near;
    for (const Field* field : fields_below(section)) {
        if (!field->internal()) near.push_back(last_part(field->path));
    }
    const auto home = home_of(word);
    if (!home.empty() && home != section) return "this key belongs into " + std::string(home);
    return nearest_hint(word, near);
}

std::string nearest_hint(std::string_view word, std::span<const std::string_view> candidates) {
    const auto best = nearest(word, candidates);
    return best.empty() ? std::string{} : "did you mean \"" + std::string(best) + "\"?";
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    constexpr std::size_t longest_word = 64;  // the distance costs the product of both lengths
    if (word.size() > longest_word) return {};
    // A third of the letters may be wrong: "comand" finds "command", "foo" finds nothing.
    std::size_t limit = std::max<std::size_t>(1, word.size() / 3) + 1;
    std::string_view best;
    for (const auto candidate : candidates) {
        if (candidate.empty() || candidate.size() > longest_word) continue;
        const std::size_t apart = distance(word, candidate);
        if (apart >= limit) continue;
        limit = apart;
        best = candidate;
    }
    return best;
}

}  // namespace edgeproxy::config
