// SPDX-License-Identifier: Apache-2.0
#include "config/difference.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "support.hpp"

namespace edgeproxy::config {
namespace {

constexpr const char* plan = R"(
listeners:
  http: { address: "127.0.0.1:8080" }
pools:
  web: { command: uvicorn main:app, workers: 2, environment: { TOKEN: first } }
  legacy: { endpoints: ["10.0.0.1:80", { address: "10.0.0.2:80", name: two }] }
routes:
  - { name: api, path: /api, pool: web }
  - { name: rest, pool: legacy }
)";

Config load(std::string text, const std::string& from = {}, const std::string& to = {}) {
    if (!from.empty()) {
        REQUIRE(text.find(from) != std::string::npos);
        text.replace(text.find(from), from.size(), to);
    }
    const LoadResult loaded = load_text(text, "stack.yaml", quiet_world());
    INFO((loaded.problems.empty() ? "" : headline(loaded.problems.front())));
    REQUIRE(loaded.config);
    return *loaded.config;
}

TEST_CASE("the same file differs in nothing", "[difference]") {
    CHECK(compare(load(plan), load(plan)).empty());
    CHECK(describe({}).empty());
}

TEST_CASE("one change of a file is told as what it is, with what it means for whom", "[difference]") {
    struct Row {
        const char *from, *to, *line;
        bool rolls;
    };
    const std::vector<Row> rows{
        {"workers: 2", "workers: 4", "~ pools.web.workers  2 -> 4", false},
        {"main:app", "other:app", "~ pools.web.command  uvicorn, main:app -> uvicorn, other:app   workers are replaced",
         true},
        {"TOKEN: first", "TOKEN: second", "~ pools.web.environment.TOKEN  *** -> ***   workers are replaced", true},
        {"TOKEN: first", "OTHER: x", "- ", false},
        {"[\"10.0.0.1:80\", ", "[", "- pools.legacy.endpoints.10.0.0.1:80", false},
        {"path: /api", "path: /v2", "~ routes.api.path  /api -> /v2", false},
        {"name: rest", "name: all", "+ routes.all", false},
        {"8080", "9090", "~ listeners.http.address  127.0.0.1:8080 -> 127.0.0.1:9090", false},
        {"pools:", "server: { threads: 9 }\npools:", "! server.threads  4 -> 9   needs a restart, kept", false},
        {"routes:", "logging: { level: debug }\nroutes:", "~ logging.level  info -> debug", false},
    };
    for (const Row& row : rows) {
        const auto found = compare(load(plan), load(plan, row.from, row.to));
        const std::string text = describe(found);
        INFO(row.from << " -> " << row.to << "\n" << text);
        CHECK_FALSE(found.empty());
        if (std::string_view(row.line) != "- ") CHECK(text.find(row.line) != std::string::npos);
        CHECK(must_roll(found, "web") == (row.rolls || std::string_view(row.line) == "- "));
        CHECK_FALSE(must_roll(found, "we"));
        CHECK(text.find("second") == std::string::npos);
    }
}

TEST_CASE("a pool that is new or gone is one line, whatever is in it", "[difference]") {
    const Config with = load(plan, "  legacy:", "  extra: { command: uvicorn a:b }\n  legacy:");
    CHECK(describe(compare(load(plan), with)) == "  + pools.extra\n");
    CHECK(describe(compare(with, load(plan))) == "  - pools.extra\n");
    CHECK_FALSE(must_roll(compare(load(plan), with), "extra"));
}

TEST_CASE("routes that change places are told", "[difference]") {
    Config turned = load(plan);
    std::swap(turned.routes[0], turned.routes[1]);
    CHECK(describe(compare(load(plan), turned)) == "  ~ routes  api, rest -> rest, api\n");
}

TEST_CASE("what a reload cannot change keeps its value, and is named", "[difference]") {
    const Config before = load(plan);
    Config after = before;
    after.server.threads = 9;
    after.server.user = "nobody";
    after.server.group = "nogroup";
    after.server.runtime_dir = "/elsewhere";
    after.server.state_dir = "/elsewhere";
    after.metrics.enabled = false;
    after.metrics.listen.port = 1;
    after.listeners[0].backlog = 7;
    after.pools[0].workers = 5;
    std::set<std::string> kept;
    for (const Difference& one : keep_fixed(before, after)) {
        CHECK(one.change == Change::restart);
        kept.insert(one.path);
    }
    CHECK(kept == std::set<std::string>{"server.threads", "server.user", "server.group", "server.runtime_dir",
                                        "server.state_dir", "metrics.enabled", "metrics.listen",
                                        "listeners.http.backlog"});
    CHECK(describe(compare(before, after)) == "  ~ pools.web.workers  2 -> 5\n");
}

TEST_CASE("every key that a reload cannot change is one of those that it keeps", "[difference]") {
    const std::set<std::string_view> kept{"version",         "server.threads",     "server.user",
                                          "server.group",    "server.runtime_dir", "server.state_dir",
                                          "metrics.enabled", "metrics.listen",     "listeners.<name>.backlog"};
    for (const Field& field : field_table()) {
        if (field.change != Change::restart || !field.supported() || field.type == FieldType::section) continue;
        INFO(field.path);
        CHECK(kept.count(field.path) == 1);
    }
}

}  // namespace
}  // namespace edgeproxy::config
