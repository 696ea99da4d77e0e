// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "proxy/http/message.hpp"
#include "proxy/route_index.hpp"

namespace edgeproxy::proxy {

/// A pattern of a route's `path`, taken apart once.
///
/// `/api` matches `/api` and everything below it, by segment; `=/x` matches `/x` only; a segment `*` stands for any one
/// segment, `**` for any number of them.
class PathPattern {
 public:
    explicit PathPattern(std::string_view text);
    bool matches(std::string_view path) const;
    /// The first segment of every path that it matches; none: there is no such one.
    std::optional<std::string_view> first_segment() const;

 private:
    std::string text_;  ///< without `=` and a trailing `/`
    std::vector<std::string> segments_;
    bool exact_ = false;
    bool wild_ = false;
};

/// Whether `host` (any case, without port) is `pattern`: the same name, or below `*.name` by one or more labels.
/// `pattern` is lower case.
bool host_matches(std::string_view pattern, std::string_view host);

/// Where a request goes.
struct RouteChoice {
    enum class Verdict : std::uint8_t {
        found,
        none,      ///< no route takes it: 404
        ambiguous  ///< another reading of its path would choose another route: 400
    };
    Verdict verdict = Verdict::none;
    std::size_t index = 0;  ///< into `Config::routes`
};

/// Chooses the first route that takes a request. Pure; built once per configuration; used by every reactor at once.
class Router {
 public:
    explicit Router(const std::vector<config::Route>& routes);

    /// `buffer` holds at least `request.path.size()` bytes and is scratch. The path is judged in all the readings that
    /// an application may give it; where they choose differently the request is refused.
    RouteChoice choose(const http::Request& request, std::span<char> buffer) const;

 private:
    struct Rule {
        std::vector<std::string> hosts;
        std::vector<PathPattern> paths;
        std::vector<std::string> methods;
    };
    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
    /// So few are tried one after the other.
    static constexpr std::size_t few = 8;
    void index(std::size_t rule);
    bool takes(const Rule& rule, std::string_view host, std::string_view method, std::string_view path) const;
    std::size_t find(std::string_view host, std::string_view method, std::string_view path) const;
    std::vector<Rule> rules_;
    RouteIndex index_;  ///< of the rules, when there are more than a few
};

}  // namespace edgeproxy::proxy
