// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "config/synonyms.hpp"
#include "config/text.hpp"
#include "config/validate.hpp"

namespace edgeproxy::config {

namespace {

bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::vector<std::string_view> segments(std::string_view path) {
    std::vector<std::string_view> list;
    path.remove_prefix(1);
    while (true) {
        const auto slash = path.find('/');
        list.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return list;
        path.remove_prefix(slash + 1);
    }
}

/// Empty when it is one.
Complaint check_path(const std::string& pattern) {
    const std::string_view path =
        pattern.starts_with('=') ? std::string_view(pattern).substr(1) : std::string_view(pattern);
    const std::string wrong = in_quotes(pattern) + " is not a path";
    if (!path.starts_with('/'))
        return {"bad-path", wrong,
                path.empty() ? "write / for everything" : "write " + in_quotes("/" + std::string(path))};
    if (!printable(path) || path.find_first_of("?#\\") != std::string_view::npos) {
        return {"bad-path", wrong, "only the path: no query, no blanks; other characters as %XX"};
    }
    for (const auto segment : segments(path)) {
        const bool star = segment.find('*') != std::string_view::npos;
        if (star && segment != "*" && segment != "**") return {"bad-path", wrong, "* and ** stand for whole segments"};
        if (star && pattern.starts_with('=')) return {"bad-path", wrong, "an exact path has no *"};
        if (segment == "." || segment == "..") return {"bad-path", wrong, "requests never have . or .. here"};
    }
    return {};
}

/// scheme://host[:port], as browsers send it (RFC 6454, section 6.2).
Complaint check_origin(const std::string& origin) {
    const std::string wrong = in_quotes(origin) + " is not an origin";
    const auto mark = origin.find("://");
    if (mark == std::string::npos || mark == 0)
        return {"bad-origin", wrong, "write it like https://example.com, with its scheme"};
    const std::string_view rest = std::string_view(origin).substr(mark + 3);
    if (rest.empty() || !printable(origin) || rest.find_first_of("/?#@\\,") != std::string_view::npos)
        return {"bad-origin", wrong, "only scheme, host and port: https://example.com:8443"};
    const std::string_view name = rest.starts_with("*.") ? rest.substr(2) : rest;
    if (name.empty() || name.find('*') != std::string_view::npos)
        return {"bad-origin", wrong, "* stands in front of the host only: https://*.example.com"};
    if ((origin.starts_with("https://") && origin.ends_with(":443")) ||
        (origin.starts_with("http://") && origin.ends_with(":80")))
        return {"bad-origin", wrong, "browsers leave the usual port out"};
    return {};
}

Complaint check_host(const std::string& host) {
    const std::string wrong = in_quotes(host) + " is not a host";
    std::string_view name = host;
    if (host == "*") return {"bad-host", wrong, "leave host out to take them all"};
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.find("://") != std::string_view::npos) return {"bad-host", wrong, "only the name, without scheme"};
    if (name.find('*') != std::string_view::npos)
        return {"bad-host", wrong, "* stands in front only: \"*.example.com\""};
    if (name.starts_with('[') && name.ends_with(']') && parse_ip(name.substr(1, name.size() - 2))) return {};
    if (name.find(':') != std::string_view::npos) return {"bad-host", wrong, "only the name, without port"};
    const bool name_or_ip = parse_address(std::string(name) + ":1").has_value() && !name.empty();
    if (!name_or_ip || name.ends_with('.'))
        return {"bad-host", wrong, "write it like example.com or \"*.example.com\""};
    return {};
}

Complaint check_method(const std::string& method) {
    const bool upper = std::all_of(method.begin(), method.end(), [](char c) { return c < 'a' || c > 'z'; });
    if (is_token(method) && upper) return {};
    std::string hint = method;
    for (char& c : hint) c = (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
    return {"bad-method", in_quotes(method) + " is not a method", is_token(hint) ? "write " + hint : ""};
}

Complaint check_target(const std::string& to) {
    if (to.empty() || !printable(to))
        return {"bad-redirect", "a redirect needs somewhere to go", "write to: \"https://example.com{uri}\""};
    constexpr std::string_view known[] = {"scheme", "host", "uri", "path", "query"};
    for (auto open = to.find('{'); open != std::string::npos; open = to.find('{', open + 1)) {
        const auto close = to.find('}', open);
        const auto name = close == std::string::npos ? std::string{} : to.substr(open + 1, close - open - 1);
        if (std::find(std::begin(known), std::end(known), name) != std::end(known)) continue;
        return {"bad-redirect", "{" + name + "} is no placeholder here",
                "there are {scheme} {host} {uri} {path} {query}"};
    }
    const bool absolute = to.starts_with('/') || to.starts_with("http://") || to.starts_with("https://") ||
                          to.starts_with("{scheme}://") || to.starts_with("{uri}") || to.starts_with("{path}");
    if (!absolute)
        return {"bad-redirect", in_quotes(to) + " is no place to redirect to", "begin with https://, http:// or /"};
    return {};
}

class RouteRules {
 public:
    RouteRules(const Config& config, Scope& scope) : config_(config), scope_(scope) {}

    void check(std::size_t index) {
        const Route& route = config_.routes[index];
        path_ = "routes[" + std::to_string(index) + "]";
        check_action(route);
        check_each(route.hosts, "host", check_host);
        check_each(route.paths, "path", check_path);
        check_each(route.methods, "method", check_method);
        check_each(route.allowed_origins, "websocket.allowed_origins", check_origin);
        check_prefixes(route);
        check_name(route);
    }

 private:
    Place at(const std::string& key) const { return scope_.place_of(path_ + "." + key); }
    bool written(const std::string& key) const { return scope_.written(path_ + "." + key); }
    void report(Place place, const Complaint& complaint) {
        if (complaint) scope_.problems.error(place, complaint.rule, complaint.text, complaint.hint);
    }

    template <class Check>
    void check_each(const std::vector<std::string>& values, const std::string& key, Check check) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            report(scope_.place_of(path_ + "." + key + "[" + std::to_string(i) + "]"), check(values[i]));
        }
    }

    void check_action(const Route& route) {
        const int actions = written("pool") + written("redirect") + written("respond");
        if (actions == 0 && !scope_.puzzling.contains(path_)) {
            scope_.problems.error(scope_.place_of(path_), "no-action",
                                  "a route needs one of pool, redirect and respond");
        } else if (actions > 1) {
            const Place place = written("redirect") ? at("redirect") : at("respond");
            scope_.problems.error(place, "two-actions", "a route has exactly one of pool, redirect and respond");
        }
        if (!route.pool.empty() && config_.find_pool(route.pool) == nullptr) unknown_pool(route.pool);
        if (written("pool") && route.pool.empty() && !scope_.problems.has_errors()) {
            report(at("pool"), {"unknown-pool", "a route needs the name of a pool", {}});
        }
        if (route.redirect) check_redirect(*route.redirect);
        if (route.respond && !is_content_type(route.respond->content_type)) {
            report(at("respond.content_type"),
                   {"bad-text", in_quotes(route.respond->content_type) + " is not a content type",
                    "write it like text/html"});
        }
    }

    static bool is_content_type(const std::string& text) {
        const auto slash = text.find('/');
        return slash != std::string::npos && is_token(text.substr(0, slash)) &&
               std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
    }

    void check_redirect(const Redirect& redirect) {
        report(written("redirect.to") ? at("redirect.to") : at("redirect"), check_target(redirect.to));
        constexpr unsigned statuses[] = {301, 302, 303, 307, 308};
        if (std::find(std::begin(statuses), std::end(statuses), redirect.status) != std::end(statuses)) return;
        report(at("redirect.status"),
               {"bad-status", std::to_string(redirect.status) + " is no redirect", "301, 302, 303, 307 or 308"});
    }

    void unknown_pool(const std::string& name) {
        std::vector<std::string_view> names;
        for (const Pool& pool : config_.pools) names.push_back(pool.name);
        const auto near = nearest(name, names);
        std::string hint;
        if (!near.empty()) {
            const Place place = scope_.place_of("pools." + std::string(near));
            hint = "did you mean " + in_quotes(near) +
                   (place.line == 0 ? "" : " (line " + std::to_string(place.line) + ")") + "?";
        }
        scope_.problems.error(at("pool"), "unknown-pool", "pool " + in_quotes(name) + " is not defined", hint);
    }

    void check_prefixes(const Route& route) {
        for (const auto& [key, prefix] :
             {std::pair<std::string, const std::string&>{"strip_prefix", route.strip_prefix},
              {"add_prefix", route.add_prefix}}) {
            if (!written(key)) continue;
            const bool fine =
                prefix.starts_with('/') && printable(prefix) && prefix.find_first_of("?#*\\") == std::string::npos;
            if (!fine) report(at(key), {"bad-path", in_quotes(prefix) + " is not a path", "write it like /api"});
        }
        if (written("pool")) return;
        for (const std::string key : {"strip_prefix", "add_prefix", "websocket"}) {
            if (written(key))
                report(at(key),
                       {"no-effect", "key " + in_quotes(key) + " needs \"pool\": nothing is forwarded here", {}});
        }
    }

    void check_name(const Route& route) {
        constexpr std::size_t longest = 128;
        if (!written("name")) return;
        if (route.name.empty() || route.name.size() > longest || !printable(route.name)) {
            report(at("name"), {"bad-name", in_quotes(route.name) + " cannot be a name",
                                "visible characters without blanks, at most 128"});
        }
        const auto [first, fresh] = names_.emplace(route.name, at("name").line);
        if (!fresh)
            report(at("name"), {"duplicate-name", "the name " + in_quotes(route.name) + " is taken already",
                                "in line " + std::to_string(first->second)});
    }

    const Config& config_;
    Scope& scope_;
    std::string path_;
    std::map<std::string, unsigned> names_;
};

/// The comparison costs the square of the number of routes; beyond that it is not worth the wait.
constexpr std::size_t most_compared = 1000;

void warn_of_shadows(const Config& config, Scope& scope) {
    const std::size_t count = std::min(config.routes.size(), most_compared);
    for (std::size_t later = 1; later < count; ++later) {
        for (std::size_t earlier = 0; earlier < later; ++earlier) {
            if (!covers(config.routes[earlier], config.routes[later])) continue;
            const Place first = scope.place_of("routes[" + std::to_string(earlier) + "]");
            scope.problems.warn(scope.place_of("routes[" + std::to_string(later) + "]"), "shadowed-route",
                                "route " + in_quotes(config.routes[later].name) +
                                    " never matches: " + in_quotes(config.routes[earlier].name) + " (line " +
                                    std::to_string(first.line) + ") takes all its requests");
            break;
        }
    }
}

void warn_of_unused_pools(const Config& config, Scope& scope) {
    // While something else is wrong, a route may be meant for it.
    if (config.routes.empty() || scope.problems.has_errors()) return;
    for (const Pool& pool : config.pools) {
        const bool used = std::any_of(config.routes.begin(), config.routes.end(),
                                      [&](const Route& r) { return r.pool == pool.name; });
        if (!used) {
            scope.problems.warn(scope.place_of("pools." + pool.name), "unused-pool",
                                "no route leads to the pool " + in_quotes(pool.name));
        }
    }
}

}  // namespace

void validate_routes(const Config& config, Scope& scope) {
    RouteRules rules(config, scope);
    for (std::size_t i = 0; i < config.routes.size(); ++i) rules.check(i);
    warn_of_shadows(config, scope);
    warn_of_unused_pools(config, scope);
    const bool serves = std::any_of(config.listeners.begin(), config.listeners.end(),
                                    [](const Listener& l) { return !l.redirect_https; });
    if (!config.routes.empty() || !serves || scope.problems.has_errors()) return;
    const char* hint = config.pools.empty() ? "write app: uvicorn main:app, or pools and routes"
                                            : "write routes: with several pools it is not clear which one to take";
    scope.problems.error({1, 1, 1}, "missing-key", "there is no route: every request would be answered 404", hint);
}

}  // namespace edgeproxy::config
