// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/status.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

StatusView some_view() {
    StatusView view;
    view.version = "1.2.3";
    view.config_name = "stack.yaml";
    view.pid = 10;
    view.proxy_pid = 11;
    view.proxy_ready = true;
    view.now = 1'000'000;
    view.started_at = view.now - 3 * 3600;
    view.configured_at = view.now - 5;
    view.generation = 4;
    view.listeners = {"https  :443"};
    PoolView app;
    app.name = "app";
    app.state = "degraded";
    app.reason = "app-2: exit 3";
    app.last_lines = {"Traceback \"x\"", "\xff"};
    app.wanted = 2;
    WorkerView ready{"app-1", "ready", 20, view.now - 100, 50u << 20, 7, 1, 0}, gone{"app-2"};
    gone.restarts = 3;
    app.workers = {ready, gone};
    PoolView far;
    far.name = "far";
    far.managed = false;
    far.wanted = 1;
    far.endpoints = {{"10.0.0.1:80", "10.0.0.1:80"}};
    view.pools = {app, far};
    return view;
}

TEST_CASE("the status for people", "[status]") {
    CHECK(status_text(some_view()) ==
          "edgeproxy 1.2.3  pid 10  proxy 11  running  up 3h\n"
          "configuration stack.yaml: number 4, serving for 5s\n"
          "listen https  :443\n"
          "pool app: degraded, 1 of 2 workers ready\n"
          "  app-1            ready     pid 20      up 100s     50 MiB  1 in flight  7 requests\n"
          "  app-2            down       restarts 3\n"
          "  app-2: exit 3\n"
          "    | Traceback \"x\"\n"
          "    | \xff\n"
          "pool far: 1 endpoint\n"
          "  10.0.0.1:80\n");
}

TEST_CASE("the status tells whether the number of workers moves, and who said so", "[status]") {
    StatusView view = some_view();
    view.pools[0].min = 1;
    view.pools[0].max = 8;
    CHECK(status_text(view).find("1 of 2 workers ready, autoscaling from 1 to 8\n") != std::string::npos);
    CHECK(status_json(view).find(R"("min":1,"max":8,"pinned":false,)") != std::string::npos);
    view.pools[0].pinned = true;
    CHECK(status_text(view).find("1 of 2 workers ready, as set by hand until the next reload\n") != std::string::npos);
}

TEST_CASE("the status tells who gets no requests, why and since when", "[status]") {
    StatusView view = some_view();
    PoolView& app = view.pools[0];
    app.state = "ok";
    app.workers[0].state = "unhealthy";
    app.workers[0].since = view.now - 12;
    app.workers[0].why = "GET /healthz: status 500";
    app.workers[1] = {"app-2", "drained", 21, view.now - 100, 50u << 20, 3, 0, 1, view.now - 130};
    view.pools[1].endpoints = {{"10.0.0.1:80", "10.0.0.1:80", "drained", view.now - 5},
                               {"api", "10.0.0.2:80", "ejected", view.now - 7, 9, 1},
                               {"api", "10.0.0.3:80", "ready", view.now - 9, 30, 2}};
    const std::string text = status_text(view);
    CHECK(text.find("pool app: degraded, 0 of 2 workers ready\n"
                    "  app-1            unhealthy pid 20      up 100s     50 MiB  1 in flight  7 requests  "
                    "unhealthy for 12s: GET /healthz: status 500\n"
                    "  app-2            drained   pid 21      up 100s     50 MiB  0 in flight  3 requests  "
                    "restarts 1  drained for 2m\n") != std::string::npos);
    CHECK(text.find("pool far: degraded, 1 of 3 endpoints ready\n"
                    "  10.0.0.1:80  drained  0 in flight  0 requests  drained for 5s\n"
                    "  api  10.0.0.2:80  ejected  1 in flight  9 requests  ejected for 7s\n"
                    "  api  10.0.0.3:80  ready  2 in flight  30 requests\n") != std::string::npos);
    const std::string json = status_json(view);
    CHECK(json.find(R"("state":"degraded","ready":0,)") != std::string::npos);
    CHECK(json.find(R"("state":"unhealthy","pid":20,)") != std::string::npos);
    CHECK(json.find(R"("since":999988,"why":"GET /healthz: status 500"})") != std::string::npos);
    CHECK(json.find(
              R"({"name":"far","managed":false,"wanted":1,"state":"degraded","ready":1,"endpoints":[{"name":"10.0)") !=
          std::string::npos);
    CHECK(
        json.find(
            R"({"name":"api","address":"10.0.0.2:80","state":"ejected","since":999993,"requests":9,"in_flight":1})") !=
        std::string::npos);
}

TEST_CASE("the status of endpoints that somebody else runs", "[status]") {
    StatusView view = some_view();
    PoolView& far = view.pools[1];
    far.endpoints[0].state = "ready";
    CHECK(status_text(view).find("pool far: ok, 1 of 1 endpoint ready\n") != std::string::npos);
    far.endpoints[0].state = "unhealthy";
    CHECK(status_text(view).find("pool far: down, 0 of 1 endpoint ready\n") != std::string::npos);
    far.endpoints.clear();
    CHECK(status_text(view).find("pool far: down, 0 of 0 endpoints ready\n") != std::string::npos);
}

TEST_CASE("the status while there is no proxy, and after a reload that failed", "[status]") {
    StatusView view = some_view();
    view.proxy_pid = 0;
    view.last_reload = "stack.yaml:3:1: error: x";
    const std::string text = status_text(view);
    CHECK(text.find("  proxy down  ") != std::string::npos);
    CHECK(text.find("last reload failed: stack.yaml:3:1: error: x\n") != std::string::npos);
}

TEST_CASE("the status for programs is one JSON object with every text escaped", "[status]") {
    const std::string json = status_json(some_view());
    CHECK(json.starts_with(R"({"version":"1.2.3","pid":10,"proxy_pid":11,"proxy_ready":true,"phase":"running",)"));
    CHECK(json.find(R"("last_lines":["Traceback \"x\"",")") != std::string::npos);
    CHECK(json.find("\xff") == std::string::npos);
    CHECK(json.find(R"("wanted":2,"state":"degraded","ready":1,)") != std::string::npos);
    CHECK(json.find(R"("managed":false,"wanted":1,"state":"unknown","ready":0,"endpoints":[{"name":"10.0.0.1:80",)") !=
          std::string::npos);
    CHECK(json.ends_with("]}\n"));
}

}  // namespace
}  // namespace edgeproxy::master
