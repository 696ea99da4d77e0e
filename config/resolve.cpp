// SPDX-License-Identifier: Apache-2.0
#include "config/resolve.hpp"

#include <algorithm>
#include <set>

namespace edgeproxy::config {

namespace {

constexpr std::uint16_t https_port = 443;

void bind_loopback(Config& config) {
    for (Listener& listener : config.listeners) {
        if (listener.own_tls ? !listener.own_tls->dev : !config.tls.dev) continue;
        for (Address& address : listener.addresses) {
            if (!address.is_unix() && address.host.empty()) address.host = "127.0.0.1";
        }
    }
}

/// `:443` is one socket for IPv6 and IPv4: every address written beside it is the same one again.
void drop_covered(std::vector<Address>& addresses) {
    const auto everywhere = [](const Address& a) { return !a.is_unix() && a.host.empty(); };
    std::set<std::uint16_t> open;
    for (const Address& address : addresses) {
        if (everywhere(address) && address.port != 0) open.insert(address.port);
    }
    std::erase_if(addresses, [&](const Address& a) {
        return !a.is_unix() && (a.host == "::" || a.host == "0.0.0.0") && open.contains(a.port);
    });
}

/// The first port that speaks TLS: where http:// clients are sent.
std::uint16_t secure_port(const Config& config) {
    for (const Listener& listener : config.listeners) {
        if (!listener.tls || listener.redirect_https) continue;
        for (const Address& address : listener.addresses) {
            if (!address.is_unix() && address.port != 0) return address.port;
        }
    }
    return https_port;
}

void resolve_pool(Pool& pool, const Server& server) {
    if (pool.managed && !pool.command.argv.empty()) {
        if (pool.command.user.empty()) {
            pool.command.user = server.user;
            if (pool.command.group.empty()) pool.command.group = server.group;
        }
    }
    for (Endpoint& endpoint : pool.endpoints) {
        endpoint.name = endpoint.shown_name();
        if (endpoint.max_in_flight == 0) endpoint.max_in_flight = pool.max_in_flight;
    }
}

std::string lower(std::string text) {
    for (char& c : text) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

/// What a route is about, in few words: `api.example.com/v1`, `/ws`, else where it leads.
std::string route_name(const Route& route) {
    std::string name = route.hosts.empty() ? "" : route.hosts.front();
    const bool everything = route.paths.empty() || route.paths.front() == "/";
    if (!everything) name += route.paths.front();
    if (!name.empty()) return name;
    if (route.redirect) return "redirect";
    return route.respond ? "respond" : route.pool;
}

void name_routes(std::vector<Route>& routes) {
    std::set<std::string> taken;
    for (const Route& route : routes) taken.insert(route.name);
    for (Route& route : routes) {
        if (!route.name.empty()) continue;
        const std::string base = route_name(route);
        route.name = base;
        for (unsigned number = 2; !taken.insert(route.name).second; ++number)
            route.name = base + "#" + std::to_string(number);
    }
}

}  // namespace

void resolve(Config& config) {
    for (Listener& listener : config.listeners) drop_covered(listener.addresses);
    bind_loopback(config);
    for (Listener& listener : config.listeners) {
        if (listener.redirect_https && listener.redirect_port == 0) listener.redirect_port = secure_port(config);
    }
    for (Pool& pool : config.pools) resolve_pool(pool, config.server);
    for (Route& route : config.routes) {
        for (std::string& host : route.hosts) host = lower(std::move(host));
    }
    name_routes(config.routes);
}

}  // namespace edgeproxy::config
