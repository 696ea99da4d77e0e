// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "config/validate.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;

namespace {

Route route(std::vector<std::string> hosts, std::vector<std::string> paths, std::vector<std::string> methods = {}) {
    Route result;
    result.hosts = std::move(hosts);
    result.paths = std::move(paths);
    result.methods = std::move(methods);
    return result;
}

}  // namespace

TEST_CASE("a path covers what lies below it", "[config][routes]") {
    const auto [first, second, covered] = GENERATE(table<std::string, std::string, bool>({
        {"/", "/a", true},       {"/a", "/", false},       {"/a", "/a", true},       {"/a", "/a/b", true},
        {"/a", "/ab", false},    {"/a/b", "/a", false},    {"/a", "=/a", true},      {"=/a", "/a", false},
        {"=/a", "=/a", true},    {"/*", "/a", true},       {"/*", "/", false},       {"/*/b", "/a/b", true},
        {"/*/b", "/a/c", false}, {"/*", "/**", false},     {"/**", "/a/b", true},    {"/a/**", "/a", true},
        {"/a/**", "/b", false},  {"/**/a", "/x/a", false}, {"/**/a", "/**/a", true}, {"/a/", "/a", false},
        {"/a/", "/a/b", true},   {"/a", "/a/", true},      {"/a/*", "/a/*/b", true}, {"/a/b", "/a/*", false},
    }));
    INFO(first << " and " << second);
    CHECK(covers(route({}, {first}), route({}, {second})) == covered);
}

TEST_CASE("a host covers itself and, with a star, what ends in it", "[config][routes]") {
    const auto [first, second, covered] = GENERATE(table<std::string, std::string, bool>({
        {"a.b", "a.b", true},
        {"a.b", "c.b", false},
        {"*.b", "a.b", true},
        {"*.b", "x.a.b", true},
        {"*.b", "b", false},
        {"*.b", "*.a.b", true},
        {"*.a.b", "*.b", false},
        {"a.b", "*.b", false},
    }));
    INFO(first << " and " << second);
    CHECK(covers(route({first}, {}), route({second}, {})) == covered);
}

TEST_CASE("all conditions must be covered, each of several by one", "[config][routes]") {
    CHECK(covers(route({}, {}), route({"a"}, {"/x"}, {"GET"})));
    CHECK_FALSE(covers(route({"a"}, {}), route({}, {})));
    CHECK(covers(route({"a", "b"}, {"/x", "/y"}), route({"b"}, {"/y/z", "/x"})));
    CHECK_FALSE(covers(route({"a"}, {"/x"}), route({"a"}, {"/x", "/y"})));
    CHECK_FALSE(covers(route({}, {}, {"GET"}), route({}, {}, {"GET", "POST"})));
    CHECK(covers(route({}, {}, {"GET", "POST"}), route({}, {}, {"POST"})));
}

TEST_CASE("routes get names that are telling and differ", "[config][routes]") {
    const auto config = plan(R"(
listen: ":80"
pools: { web: { command: prog } }
routes:
  - { host: api.example.com, path: /v1, pool: web }
  - { host: api.example.com, path: /v1, method: POST, pool: web, name: mine }
  - { host: [www.example.com, example.com], pool: web }
  - { path: "=/up", respond: 204 }
  - { path: /old, redirect: /new }
  - { path: /old, method: GET, redirect: /new }
  - pool: web
)");
    std::string names;
    for (const auto& route : config.routes) names += route.name + " ";
    CHECK(names == "api.example.com/v1 mine www.example.com =/up /old /old#2 web ");
}

TEST_CASE("without routes the only pool gets everything", "[config][routes]") {
    const auto config = plan("listen: \":80\"\npools: { web: { command: prog } }\n");
    REQUIRE(config.routes.size() == 1);
    CHECK(config.routes[0].pool == "web");
    CHECK(config.routes[0].max_body != 0);
}

TEST_CASE("app adds a route behind the others", "[config][routes]") {
    const auto config =
        plan("listen: \":80\"\napp: prog\nroutes: [{ path: /up, respond: { status: 200, body: ok } }]\n");
    REQUIRE(config.routes.size() == 2);
    CHECK(config.routes[0].respond->body == "ok");
    CHECK(config.routes[1].pool == "app");
}
