// SPDX-License-Identifier: Apache-2.0
#include "config/validate.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "config/text.hpp"

namespace edgeproxy::config {

namespace {

void validate_server(const Config& config, Scope& scope) {
    const std::string& runtime_dir = config.server.runtime_dir;
    if (runtime_dir.size() > longest_runtime_dir) {
        scope.problems.error(scope.place_of("server.runtime_dir"), "path-too-long",
                             "the runtime directory " + in_quotes(runtime_dir) + " leaves no room for socket names",
                             "at most " + std::to_string(longest_runtime_dir) + " bytes");
    }
}

void validate_headers(const Headers& headers, Scope& scope) {
    if (!headers.request_id.empty() && !is_token(headers.request_id)) {
        scope.problems.error(scope.place_of("headers.request_id"), "bad-name",
                             in_quotes(headers.request_id) + " cannot be the name of a field");
    }
    if (!headers.via.empty() && !is_token(headers.via)) {
        scope.problems.error(scope.place_of("headers.via"), "bad-name",
                             in_quotes(headers.via) + " cannot be a name in Via",
                             "letters, digits, \"-\", \".\" and \"_\"");
    }
}

bool is_everywhere(const Address& address) {
    if (address.is_unix() || address.is_inherited()) return false;
    return address.host.empty() || address.host == "0.0.0.0" || address.host == "::";
}

void validate_metrics(const Metrics& metrics, Scope& scope) {
    const Place place = scope.place_of("metrics.path");
    const bool fine = metrics.path.starts_with('/') && metrics.path.find_first_of("?# ") == std::string::npos;
    if (!fine) scope.problems.error(place, "bad-path", in_quotes(metrics.path) + " is not a path", "write /metrics");
    if (metrics.path == "/livez" || metrics.path == "/readyz") {
        scope.problems.error(place, "bad-path", in_quotes(metrics.path) + " is taken", "write /metrics");
    }
    if (metrics.enabled && is_everywhere(metrics.listen)) {
        scope.problems.warn(
            scope.place_of("metrics.listen"), "open-metrics",
            "whoever reaches this machine can read the metrics at " + in_quotes(metrics.listen.to_string()),
            "write 127.0.0.1:9900, or leave it if a firewall or network policy decides");
    }
}

void validate_logging(const Logging& logging, Scope& scope) {
    for (std::size_t i = 0; i < logging.access.exclude.size(); ++i) {
        if (logging.access.exclude[i].starts_with('/')) continue;
        scope.problems.error(scope.place_of("logging.access.exclude[" + std::to_string(i) + "]"), "bad-path",
                             in_quotes(logging.access.exclude[i]) + " is not a path", "it begins with /");
    }
}

/// Two sockets cannot have one address. Port 0 is a new port every time.
class AddressBook {
 public:
    explicit AddressBook(Scope& scope) : scope_(scope) {}

    void add(const Address& address, const std::string& path) {
        if (!address.is_unix() && address.port == 0) return;
        const Place place = scope_.place_of(path);
        const auto [first, fresh] = taken_.emplace(address.to_string(), place);
        if (fresh) return;
        // The default of `metrics.listen` stands nowhere.
        if (place.line == 0) {
            scope_.problems.error(first->second, "address-twice",
                                  in_quotes(address.to_string()) + " is the address of the metrics",
                                  "take another one, or write metrics: { listen: ... }");
            return;
        }
        scope_.problems.error(place, "address-twice", in_quotes(address.to_string()) + " is taken already",
                              first->second.line != 0 ? "in line " + std::to_string(first->second.line) : "");
    }

 private:
    Scope& scope_;
    std::map<std::string, Place> taken_;
};

void validate_addresses(const Config& config, Scope& scope) {
    AddressBook book(scope);
    for (const Listener& listener : config.listeners) {
        const std::string path = "listeners." + listener.name + ".address";
        const bool several = listener.addresses.size() > 1;
        for (std::size_t i = 0; i < listener.addresses.size(); ++i) {
            book.add(listener.addresses[i], several ? path + "[" + std::to_string(i) + "]" : path);
        }
    }
    if (config.metrics.enabled) book.add(config.metrics.listen, "metrics.listen");
}

void validate_protocols(const Listener& listener, const std::string& path, Scope& scope) {
    const Place place = scope.place_of(path + ".protocols");
    const auto& protocols = listener.protocols;
    if (protocols.empty())
        scope.problems.error(place, "missing-key", "a listener needs a protocol", "write [h2, http/1.1]");
    if (std::set<Protocol>(protocols.begin(), protocols.end()).size() != protocols.size()) {
        scope.problems.error(place, "written-twice", "a protocol is written twice");
    }
    const bool h2 = std::find(protocols.begin(), protocols.end(), Protocol::h2) != protocols.end();
    if (h2 && !listener.tls) {
        scope.problems.error(place, "needs-tls", "h2 needs tls: without it clients speak http/1.1",
                             "write tls: true, or protocols: [http/1.1]");
    }
}

void validate_client_auth(const ClientAuth& wanted, const std::string& path, Scope& scope) {
    if (wanted.mode != ClientAuthMode::none && wanted.ca.empty() && !scope.written(path + ".ca")) {
        scope.problems.error(scope.place_of(path), "missing-key", in_quotes(scope.shown_path(path)) + " needs \"ca\"",
                             "write the PEM file of the authorities whose clients are believed");
    }
    if (wanted.mode == ClientAuthMode::none && (!wanted.ca.empty() || !wanted.crl.empty())) {
        scope.problems.warn(scope.place_of(path), "unused-client-auth", "no client is asked for a certificate",
                            "write mode: require, or mode: request");
    }
}

/// Clients that must show a certificate, and a door beside where nobody asks.
void validate_client_auth(const Config& config, Scope& scope) {
    bool required = false;
    for (const Tls* set : config.tls_sets()) {
        required = required || set->client_auth.mode == ClientAuthMode::require;
        for (const Certificate& certificate : set->certificates)
            required =
                required || (certificate.client_auth && certificate.client_auth->mode == ClientAuthMode::require);
    }
    for (const Listener& listener : config.listeners) {
        if (!required || listener.tls || listener.redirect_https) continue;
        scope.problems.warn(
            scope.place_of("listeners." + listener.name), "open-door",
            "client certificates are required, but " + in_quotes(listener.name) + " serves the same routes without TLS",
            "write redirect: https, or tls: true");
    }
}

std::string indexed(const std::string& path, std::size_t index) {
    return path + "[" + std::to_string(index) + "]";
}

void validate_certificates(const Tls& tls, const std::string& tls_path, Scope& scope) {
    bool has_default = false;
    for (std::size_t i = 0; i < tls.certificates.size(); ++i) {
        const std::string path = indexed(tls_path + ".certificates", i);
        const Certificate& certificate = tls.certificates[i];
        // An empty path that was written has been complained about.
        const bool no_cert = certificate.cert.empty() && !scope.written(path + ".cert");
        const bool no_key = certificate.key.empty() && !scope.written(path + ".key");
        if ((no_cert || no_key) && !scope.puzzling.contains(path)) {
            scope.problems.error(scope.place_of(path), "missing-key",
                                 in_quotes(scope.shown_path(path)) + " needs " + (no_cert ? "\"cert\"" : "\"key\""));
        }
        if (certificate.is_default && has_default) {
            scope.problems.error(scope.place_of(path + ".default"), "written-twice",
                                 "another certificate is the default already");
        }
        has_default = has_default || certificate.is_default;
        if (certificate.client_auth) validate_client_auth(*certificate.client_auth, path + ".client_auth", scope);
    }
}

void validate_tls_set(const Tls& tls, const std::string& path, Scope& scope) {
    const Place place = scope.place_of(path);
    if (!tls.has_certificates() && !scope.puzzling.contains(path) && !scope.written(path + ".dir")) {
        scope.problems.error(place, "missing-key", in_quotes(path) + " has no certificate",
                             "write cert and key, certificates, dir, or dev: true");
    }
    // The long form names the files of the development certificate.
    if (tls.dev && (!tls.certificates.empty() || !tls.dir.empty()) && !scope.options.internal) {
        scope.problems.error(scope.place_of(path + ".dev"), "written-twice",
                             "write either dev or certificates, not both");
    }
    validate_certificates(tls, path, scope);
    validate_client_auth(tls.client_auth, path + ".client_auth", scope);
    if (std::set<Protocol>(tls.alpn.begin(), tls.alpn.end()).size() != tls.alpn.size())
        scope.problems.error(scope.place_of(path + ".alpn"), "written-twice", "a protocol is written twice");
    if (tls.alpn.empty() && scope.written(path + ".alpn"))
        scope.problems.error(scope.place_of(path + ".alpn"), "missing-key", "a listener needs a protocol",
                             "write [h2, http/1.1]");
}

}  // namespace

void validate(const Config& config, Scope& scope) {
    validate_server(config, scope);
    validate_tls(config, scope);
    validate_listeners(config, scope);
    validate_addresses(config, scope);
    validate_pools(config, scope);
    validate_routes(config, scope);
    validate_headers(config.headers, scope);
    validate_metrics(config.metrics, scope);
    validate_logging(config.logging, scope);
}

void validate_listeners(const Config& config, Scope& scope) {
    const bool certificates = config.tls.has_certificates();
    if (config.listeners.empty() && !scope.written("listeners") && !scope.puzzling.contains("")) {
        scope.problems.error({1, 1, 1}, "missing-key", "nothing listens", "write listen: \":8080\"");
    }
    bool serves = false, secure = false;
    for (const Listener& listener : config.listeners) {
        const std::string path = "listeners." + listener.name;
        if (listener.addresses.empty() && !scope.puzzling.contains(path)) {
            scope.problems.error(scope.place_of(path), "missing-key",
                                 in_quotes(scope.shown_path(path)) + " has no address", "write address: \":443\"");
        }
        if (listener.tls && !listener.own_tls && !certificates && !scope.written("tls")) {
            scope.problems.error(scope.place_of(path + ".tls"), "missing-key",
                                 in_quotes(scope.shown_path(path)) + " speaks TLS, but there is no certificate",
                                 "write tls: { cert: ..., key: ... }, or tls: dev");
        }
        validate_protocols(listener, path, scope);
        if (listener.proxy_protocol == ProxyProtocol::required && config.client_ip.trusted_proxies.empty()) {
            scope.problems.error(scope.place_of(path + ".proxy_protocol"), "nobody-trusted",
                                 "a PROXY header is believed from trusted proxies only, and there are none",
                                 "write client_ip: { trusted_proxies: [...] }");
        }
        serves = serves || !listener.redirect_https;
        secure = secure || (listener.tls && !listener.redirect_https);
    }
    for (const Listener& listener : config.listeners) {
        if (!listener.redirect_https || secure || !serves) continue;
        scope.problems.warn(scope.place_of("listeners." + listener.name + ".redirect"), "redirect-nowhere",
                            "this listener redirects to https, but none speaks TLS here");
    }
    if (serves || config.listeners.empty() || config.routes.empty()) return;
    scope.problems.error(scope.place_of("listeners." + config.listeners.front().name), "no-listener",
                         "every listener only redirects: nothing serves the routes",
                         "with tls, ports 80 and 8080 redirect: add \":443\", or write listeners in the long form");
}

void validate_tls(const Config& config, Scope& scope) {
    if (scope.written("tls")) validate_tls_set(config.tls, "tls", scope);
    for (const Listener& listener : config.listeners) {
        if (listener.own_tls) validate_tls_set(*listener.own_tls, "listeners." + listener.name + ".tls", scope);
    }
    validate_client_auth(config, scope);
    if (!scope.written("tls")) return;
    const auto& all = config.listeners;
    const bool used = std::any_of(all.begin(), all.end(), [](const Listener& l) { return l.tls; });
    const bool serves = std::any_of(all.begin(), all.end(), [](const Listener& l) { return !l.redirect_https; });
    if (!used && serves) {
        scope.problems.warn(scope.place_of("tls"), "unused-tls", "no listener speaks TLS",
                            "write tls: true at a listener");
    }
}

bool is_token(std::string_view text) {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter || marks.find(c) != std::string_view::npos;
    });
}

}  // namespace edgeproxy::config
