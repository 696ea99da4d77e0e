// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.hpp"

#include <algorithm>
#include <set>

#include "proxy/http/target.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::proxy {
namespace {

/// Takes the next segment (without its slash) off `path`, which begins with '/' or is empty.
std::string_view next_segment(std::string_view& path) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

/// Matches what is left of a path against what is left of a pattern. `exact`: nothing may follow.
bool match_from(std::span<const std::string> pattern, std::string_view path, bool exact) {
    if (pattern.empty()) return !exact || path.empty() || path == "/";
    if (pattern.front() == "**") {
        // Patterns are short and come from the configuration; each `**` tries every place once.
        for (;;) {
            if (match_from(pattern.subspan(1), path, exact)) return true;
            if (path.empty()) return false;
            next_segment(path);
        }
    }
    if (path.empty()) return false;
    const std::string_view segment = next_segment(path);
    if (pattern.front() != "*" && pattern.front() != segment) return false;
    if (pattern.front() == "*" && segment.empty()) return false;
    return match_from(pattern.subspan(1), path, exact);
}

bool contains(const std::vector<std::string>& list, std::string_view wanted) {
    return std::any_of(list.begin(), list.end(), [&](const std::string& one) { return one == wanted; });
}

}  // namespace

PathPattern::PathPattern(std::string_view text) {
    exact_ = text.starts_with('=');
    if (exact_) text.remove_prefix(1);
    if (text.size() > 1 && text.ends_with('/') && !exact_) text.remove_suffix(1);
    text_ = text;
    wild_ = text_.find('*') != std::string::npos;
    for (std::string_view rest = text; wild_ && !rest.empty();) segments_.emplace_back(next_segment(rest));
}

bool PathPattern::matches(std::string_view path) const {
    if (wild_) return match_from(segments_, path, exact_);
    if (exact_) return path == text_;
    if (text_ == "/") return true;
    return path.starts_with(text_) && (path.size() == text_.size() || path[text_.size()] == '/');
}

std::optional<std::string_view> PathPattern::first_segment() const {
    if (text_ == "/" && !exact_) return std::nullopt;
    if (!text_.starts_with('/')) return std::nullopt;
    std::string_view rest = text_;
    const std::string_view segment = next_segment(rest);
    if (segment.find('*') != std::string_view::npos) return std::nullopt;
    return segment;
}

bool host_matches(std::string_view pattern, std::string_view host) {
    if (!pattern.starts_with("*.")) return http::iequals(pattern, host);
    const std::string_view suffix = pattern.substr(1);  // with its dot
    return host.size() > suffix.size() && http::iequals(host.substr(host.size() - suffix.size()), suffix);
}

Router::Router(const std::vector<config::Route>& routes) {
    for (const config::Route& route : routes) {
        Rule rule;
        rule.hosts = route.hosts;
        rule.methods = route.methods;
        for (const std::string& path : route.paths) rule.paths.emplace_back(path);
        rules_.push_back(std::move(rule));
    }
    for (std::size_t i = 0; rules_.size() > few && i < rules_.size(); ++i) index(i);
}

/// Once for each host and pattern; a host with a star, or none, is any host.
void Router::index(std::size_t rule) {
    using Key = std::optional<std::string_view>;
    const Rule& one = rules_[rule];
    std::set<Key> hosts, segments;
    for (const std::string& host : one.hosts) hosts.insert(host.starts_with("*.") ? Key() : Key(host));
    for (const PathPattern& path : one.paths) segments.insert(path.first_segment());
    if (hosts.empty() || hosts.contains(Key())) hosts = {Key()};
    if (segments.empty() || segments.contains(Key())) segments = {Key()};
    for (const Key& host : hosts) {
        for (const Key& segment : segments) index_.add(static_cast<std::uint32_t>(rule), host, segment);
    }
}

bool Router::takes(const Rule& rule, std::string_view host, std::string_view method, std::string_view path) const {
    const auto takes_host = [&](const std::string& pattern) { return host_matches(pattern, host); };
    if (!rule.hosts.empty() && std::none_of(rule.hosts.begin(), rule.hosts.end(), takes_host)) return false;
    const auto takes_path = [&](const PathPattern& pattern) { return pattern.matches(path); };
    if (!rule.paths.empty() && std::none_of(rule.paths.begin(), rule.paths.end(), takes_path)) return false;
    return rule.methods.empty() || contains(rule.methods, method);
}

std::size_t Router::find(std::string_view host, std::string_view method, std::string_view path) const {
    if (rules_.size() > few) {
        std::string_view rest = path;
        RouteIndex::Candidates candidates = index_.candidates(host, rest.empty() ? rest : next_segment(rest));
        while (const auto candidate = candidates.next()) {
            if (takes(rules_[*candidate], host, method, path)) return *candidate;
        }
        return nowhere;
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        if (takes(rules_[i], host, method, path)) return i;
    }
    return nowhere;
}

RouteChoice Router::choose(const http::Request& request, std::span<char> buffer) const {
    // A name with the dot of the DNS root at its end is the same name.
    std::string_view host = request.host;
    if (host.ends_with('.')) host.remove_suffix(1);
    const auto decide = [&](std::string_view path) { return find(host, request.method_text, path); };
    const std::string_view path = request.path == "*" ? std::string_view("/") : request.path;
    if (!http::all_readings_agree(path, buffer, decide)) return {RouteChoice::Verdict::ambiguous, 0};
    const std::size_t index = decide(path);
    if (index == nowhere) return {RouteChoice::Verdict::none, 0};
    return {RouteChoice::Verdict::found, index};
}

}  // namespace edgeproxy::proxy
