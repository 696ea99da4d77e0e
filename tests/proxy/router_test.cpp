// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.hpp"

#include <array>
#include <random>

#include "tests/proxy/requests.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;
using Verdict = RouteChoice::Verdict;

namespace {

config::Route route(std::vector<std::string> hosts, std::vector<std::string> paths,
                    std::vector<std::string> methods = {}) {
    config::Route made;
    made.hosts = std::move(hosts);
    made.paths = std::move(paths);
    made.methods = std::move(methods);
    return made;
}

RouteChoice choose(const Router& router, const std::string& head) {
    const ParsedRequest parsed{head};
    std::array<char, 4096> scratch;
    return router.choose(parsed, scratch);
}

}  // namespace

TEST_CASE("a path pattern matches by segment", "[proxy][router]") {
    const auto [pattern, path, expected] = GENERATE(table<std::string, std::string, bool>({
        {"/", "/", true},
        {"/", "/anything/below", true},
        {"/api", "/api", true},
        {"/api", "/api/", true},
        {"/api", "/api/v1", true},
        {"/api", "/apix", false},
        {"/api/", "/api", true},
        {"/api/", "/api/x", true},
        {"=/api", "/api", true},
        {"=/api", "/api/", false},
        {"=/api", "/api/x", false},
        {"/a/*/c", "/a/b/c", true},
        {"/a/*/c", "/a/b/c/d", true},
        {"/a/*/c", "/a//c", false},
        {"/a/*/c", "/a/c", false},
        {"=/a/*", "/a/b", true},
        {"=/a/*", "/a/b/c", false},
        {"/a/**/z", "/a/z", true},
        {"/a/**/z", "/a/b/c/z", true},
        {"/a/**/z", "/a/b/c", false},
    }));
    CAPTURE(pattern, path);
    CHECK(PathPattern{pattern}.matches(path) == expected);
}

TEST_CASE("a host pattern with a star stands for one or more labels", "[proxy][router]") {
    CHECK(host_matches("example.com", "EXAMPLE.com"));
    CHECK_FALSE(host_matches("example.com", "www.example.com"));
    CHECK(host_matches("*.example.com", "www.example.com"));
    CHECK(host_matches("*.example.com", "a.b.example.com"));
    CHECK_FALSE(host_matches("*.example.com", "example.com"));
    CHECK_FALSE(host_matches("*.example.com", "badexample.com"));
}

TEST_CASE("the first route that takes the request wins", "[proxy][router]") {
    const Router router{
        {route({"api.example"}, {}), route({}, {"/api"}, {"POST"}), route({}, {"/api"}), route({"a.example"}, {"=/"})}};
    CHECK(choose(router, get("/x", "api.example")).index == 0);
    CHECK(choose(router, "POST /api HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n").index == 1);
    CHECK(choose(router, get("/api/v1")).index == 2);
    CHECK(choose(router, get("/", "a.example.")).index == 3);
    CHECK(choose(router, get("/other")).verdict == Verdict::none);
}

TEST_CASE("a path is judged in the form that an application gives it", "[proxy][router]") {
    const Router router{{route({}, {"/admin"}), route({}, {"/"})}};
    CHECK(choose(router, get("/%61dmin")).verdict != Verdict::none);
    SECTION("a spelling that the application may read as another route is refused") {
        const auto target = GENERATE(std::string("/x/..%2fadmin"), "/x%2f..%2fadmin", "/x;/../admin", "//admin",
                                     "/x/%2e%2e/admin", "/x/../admin", "/%2fadmin", "/x%5c..%5cadmin");
        CAPTURE(target);
        const RouteChoice choice = choose(router, get(target));
        CHECK((choice.verdict == Verdict::ambiguous || (choice.verdict == Verdict::found && choice.index == 0)));
    }
    SECTION("the same spelling below one route is nobody's business") {
        CHECK(choose(router, get("/files/a%2fb")).verdict == Verdict::found);
        CHECK(choose(router, get("/files//a;v=1/b")).verdict == Verdict::found);
    }
}

TEST_CASE("many routes choose as if each was tried in order", "[proxy][router]") {
    // Hosts and paths of few words, so that routes overlap in every way.
    std::mt19937 random{7};
    const auto one_of = [&](const std::vector<std::string>& words) { return words[random() % words.size()]; };
    const std::vector<std::string> hosts{"a.example", "b.example", "*.example", "*.b.example"};
    const std::vector<std::string> patterns{"/",   "=/",   "/a",     "/a/b",     "=/a/b", "/b",
                                            "/*",  "/a/*", "/**/z",  "/a*/b",    "/b/a",  "/**/b/c",
                                            "=/b", "/c/a", "/a/c/b", "=/a/**/b", "//",    "/c"};
    const std::vector<std::string> asked_hosts{"a.example",   "A.Example", "b.example",
                                               "x.b.example", "other",     "example"};
    const std::vector<std::string> asked{"/",    "/a",    "/a/b",  "/a/b/c", "/b",    "/b/a/x", "/c",   "/c/a",
                                         "/d/z", "/a*/b", "/ab/c", "/z",     "/a/b/", "/b/b/c", "/aa/b"};
    for (int round = 0; round < 200; ++round) {
        std::vector<config::Route> routes;
        for (std::size_t i = 0; i < 9 + random() % 12; ++i) {
            std::vector<std::string> of_hosts, of_paths;
            for (std::size_t n = random() % 3; n > 0; --n) of_hosts.push_back(one_of(hosts));
            for (std::size_t n = random() % 3; n > 0; --n) of_paths.push_back(one_of(patterns));
            routes.push_back(route(of_hosts, of_paths,
                                   random() % 4 == 0 ? std::vector<std::string>{"POST"} : std::vector<std::string>{}));
        }
        const Router router{routes};
        for (const std::string& host : asked_hosts) {
            for (const std::string& path : asked) {
                const auto takes = [&](const config::Route& one) {
                    const auto of_host = [&](const std::string& pattern) { return host_matches(pattern, host); };
                    const auto of_path = [&](const std::string& text) { return PathPattern{text}.matches(path); };
                    return (one.hosts.empty() || std::any_of(one.hosts.begin(), one.hosts.end(), of_host)) &&
                           (one.paths.empty() || std::any_of(one.paths.begin(), one.paths.end(), of_path)) &&
                           one.methods.empty();
                };
                const auto found = std::find_if(routes.begin(), routes.end(), takes);
                const RouteChoice choice = choose(router, get(path, host));
                CAPTURE(round, host, path);
                REQUIRE((choice.verdict == Verdict::found) == (found != routes.end()));
                if (found != routes.end()) REQUIRE(choice.index == static_cast<std::size_t>(found - routes.begin()));
            }
        }
    }
}
