// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.hpp"

#include <array>

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
