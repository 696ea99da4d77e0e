// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <set>

#include "config/field_table.hpp"
#include "config/units.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;
using namespace std::chrono_literals;

namespace {

const char* smallest = "listen: \":8080\"\napp: prog\n";

}  // namespace

TEST_CASE("defaults of the server", "[config][defaults]") {
    const Config config = plan(smallest);
    CHECK(config.server == Server{4, "", "", "/run/edgeproxy", "/var/lib/edgeproxy", 400, Switch::on, {0s, 30s}});
    CHECK(config.limits == ProcessLimits{700 * 1024 * 1024, 250ms, 256, 0, 1024});
    CHECK(config.client_ip == ClientIp{});
    CHECK(config.headers == Headers{"X-Request-ID", "", "edgeproxy", false, true, false});
    CHECK(config.error_pages == ErrorPages{PageFormat::automatic, false});
    CHECK(config.logging ==
          Logging{LogLevel::info, LogFormat::automatic, "stderr", {true, "stdout", LogFormat::automatic, {}}});
    CHECK(config.metrics == Metrics{true, {Address::Kind::tcp, "127.0.0.1", 9900}, "/metrics"});
    CHECK(config.tls == Tls{{},
                            "",
                            false,
                            TlsProfile::intermediate,
                            UnknownHost::use_default,
                            0s,
                            true,
                            TlsVersion::tls12,
                            {},
                            {},
                            {},
                            ClientAuth{ClientAuthMode::none, "", "", 1},
                            10s});
}

TEST_CASE("the default of max_connections follows the file limit, within bounds", "[config][defaults]") {
    const auto [limit, connections] =
        GENERATE(table<std::uint64_t, unsigned>({{1024, 408}, {20'000, 8'000}, {20, 16}, {1'000'000'000, 50'000}}));
    auto options = quiet_world();
    options.file_limit = limit;
    CHECK(load_text(smallest, "f", options).config->server.max_connections == connections);
}

TEST_CASE("the default of the memory budget is seven tenths of what there is, or 128 MiB if that leaves something",
          "[config][defaults]") {
    const auto [memory, budget] =
        GENERATE(table<std::uint64_t, std::uint64_t>({{std::uint64_t{10} << 30, (std::uint64_t{10} << 30) / 10 * 7},
                                                      {160'000'000, 128'000'000},
                                                      {170 << 20, 128 << 20},
                                                      {1000, 16 << 20}}));
    auto options = quiet_world();
    options.memory = memory;
    CHECK(load_text(smallest, "f", options).config->limits.memory == budget);
}

TEST_CASE("defaults of a listener", "[config][defaults]") {
    const Listener listener = plan(smallest).listeners[0];
    CHECK(listener.protocols == std::vector{Protocol::http1});
    CHECK_FALSE(listener.tls);
    CHECK_FALSE(listener.redirect_https);
    CHECK(listener.backlog == 4096);
    CHECK(listener.http2_max_streams == 100);
    CHECK(listener.http2_window == 64 * 1024);
    CHECK(listener.http2_connection_window == 1024 * 1024);
    CHECK(listener.timeouts == ListenerTimeouts{5s, 10s, 10s, 30s, 60s, 60s, 1h, 1h, 10s, 60s, 10s, 5s});
    CHECK(listener.proxy_protocol == ProxyProtocol::off);
    CHECK(listener.limits == ListenerLimits{8 * 1024, 32 * 1024, 100, 10'000, 240, 1024, 100, 2s});
}

TEST_CASE("workers may use what we may, and nothing is watched", "[config][defaults]") {
    const Command command = plan(smallest).pools[0].command;
    CHECK(command.resources == WorkerResources{0, 0, 0, false, {}});
    CHECK(command.watch.empty());
}

TEST_CASE("a pool has a fixed number of workers, or finds it between min and max", "[config][defaults]") {
    const auto [written, workers, scale] = GENERATE(table<std::string, unsigned, Autoscale>({
        {"workers: 4", 4, {1, 0, 100ms, 3s, 2min, 85}},
        {"workers: { max: 8 }", 1, {1, 8, 100ms, 3s, 2min, 85}},
        {"workers: { min: 2, max: auto, memory: 50% }", 2, {2, 4, 100ms, 3s, 2min, 50}},
        {"autoscale: { min: 2, max: 8, queue_time: 10ms, up_after: 1s, down_after: 5s }", 2, {2, 8, 10ms, 1s, 5s, 85}},
        {"workers: 3, autoscale: { max: 8 }", 3, {1, 8, 100ms, 3s, 2min, 85}},
    }));
    const Pool pool = plan("listen: \":8080\"\napp: { command: prog, max_in_flight: 4, " + written + " }\n").pools[0];
    CHECK(pool.workers == workers);
    CHECK(pool.autoscale == scale);
}

TEST_CASE("what is watched is written as true or as patterns", "[config][defaults]") {
    using Patterns = std::vector<std::string>;
    const auto [written, patterns] =
        GENERATE(table<std::string, Patterns>({{"true", {"**/*.py"}},
                                               {"false", {}},
                                               {"app/*.py", {"app/*.py"}},
                                               {"[a.py, \"**/*.html\"]", {"a.py", "**/*.html"}}}));
    CHECK(plan("listen: \":8080\"\napp: { command: prog, watch: " + written + " }\n").pools[0].command.watch ==
          patterns);
}

TEST_CASE("CPUs are a sorted list without repetition, or one for each worker", "[config][defaults]") {
    using Cpus = std::vector<unsigned>;
    const auto [written, spread, cpus] = GENERATE(table<std::string, bool, Cpus>(
        {{"auto", true, {}}, {"\"0\"", false, {0}}, {"\"6,0-2,1\"", false, {0, 1, 2, 6}}}));
    const auto command =
        plan("listen: \":8080\"\napp: { command: prog, resources: { cpus: " + written + " } }\n").pools[0].command;
    CHECK(command.resources.spread_cpus == spread);
    CHECK(command.resources.cpus == cpus);
}

TEST_CASE("all that counts workers of a pool knows the same most", "[config][defaults]") {
    for (const char* key : {"workers", "autoscale.min", "autoscale.max", "start_parallel"}) {
        INFO(key);
        CHECK(find_field(std::string("pools.<name>.") + key)->high == std::to_string(most_workers));
    }
}

TEST_CASE("defaults of a managed pool", "[config][defaults]") {
    const Pool pool = plan(smallest).pools[0];
    CHECK(pool.command == Command{{"prog"}, Kind::generic, false, Bind::tcp, {}, "/srv", "", "", "TERM", {}, {}});
    CHECK(pool.workers == 1);
    CHECK(pool.required);
    CHECK(pool.balance == Balance::least_requests);
    CHECK(pool.max_in_flight == 256);
    CHECK(pool.queue == Queue{1024, 10s});
    CHECK(pool.hold == 30s);
    CHECK(pool.health == Health{"", 5s, 2s, 3, 1, 0, 0, ""});
    CHECK(pool.outlier == Outlier{true, 5, 10s, 10s});
    CHECK(pool.keepalive == Keepalive{32, 4s});
    CHECK(pool.timeouts == PoolTimeouts{1s, 60s, 300s, 30s});
    CHECK(pool.connect_retries == 2);
    CHECK(pool.host_header == HostHeader::preserve);
    CHECK(pool.start_timeout == 60s);
    CHECK(pool.start_parallel == 2);
    CHECK(pool.drain_timeout == 30s);
    CHECK(pool.stop_grace_period == 10s);
    CHECK(pool.restart == Restart{500ms, 30s, 5, 60s});
    CHECK(pool.recycle == Recycle{0, 10, 0s, 0});
    CHECK(pool.hang == Hang{2s, 30s});
    CHECK(pool.surge == 1);
}

TEST_CASE("defaults of a pool of others", "[config][defaults]") {
    const Pool pool = plan("listen: \":1\"\npools: { a: { endpoints: [\"far.example:80\"] } }\n").pools[0];
    CHECK(pool.timeouts.connect == 3s);
    CHECK(pool.keepalive.idle_timeout == 4s);
    CHECK(pool.endpoints[0].name == "far.example:80");
    CHECK(pool.endpoints[0].max_in_flight == 256);
}

TEST_CASE("defaults of a route", "[config][defaults]") {
    Route route;
    route.name = "app";
    route.pool = "app";
    route.max_body = ByteSize{64} << 20;
    CHECK(plan(smallest).routes == std::vector{route});
    const Config more =
        plan("listen: \":1\"\nroutes:\n  - { path: /a, redirect: /b }\n  - { path: /c, respond: 204 }\n");
    CHECK(more.routes[0].redirect == Redirect{"/b", 308});
    CHECK(more.routes[1].respond == Respond{204, "", "text/plain; charset=utf-8"});
}

TEST_CASE("the field table is whole: every row has a section, a default within its range and words that fit",
          "[config][defaults]") {
    std::set<std::string> seen{""};
    for (const Field& field : field_table()) {
        INFO(field.path);
        CHECK(seen.insert(std::string(field.path)).second);
        std::string section(field.path.substr(0, field.path.size() - last_part(field.path).size()));
        if (!section.empty()) section.pop_back();
        if (section.ends_with("[]")) section.resize(section.size() - 2);
        CHECK(seen.contains(section));
        const bool switched = field.type == FieldType::section;
        if (switched && !field.words.empty()) {
            CHECK(find_field(std::string(field.path) + "." + std::string(field.words)) != nullptr);
        }
        if (field.type == FieldType::duration) {
            REQUIRE(parse_duration(field.low).value);
            REQUIRE(parse_duration(field.high).value);
            CHECK(*parse_duration(field.low).value < *parse_duration(field.high).value);
            const auto fallback = field.fallback_for({});
            CHECK((fallback.empty() || fallback == "off" || parse_duration(fallback).value));
            CHECK((fallback != "off" || field.takes("off")));
        }
        if (field.type == FieldType::size) CHECK((parse_size(field.low).value && parse_size(field.high).value));
        if (field.type == FieldType::count) CHECK((parse_count(field.low).value && parse_count(field.high).value));
        if (field.type == FieldType::word) CHECK(field.takes(field.fallback_for({})));
    }
    CHECK(find_field("pools.<name>.queue.size")->fallback == "1024");
    CHECK(find_field("pools.<name>.queue.nonsense") == nullptr);
    CHECK(fields_below("pools.<name>.queue").size() == 2);
}
