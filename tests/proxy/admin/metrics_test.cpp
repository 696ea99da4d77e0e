// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/metrics.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include "tests/proxy/admin/samples.hpp"
#include "tests/proxy/admin/scratch.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;

namespace {

/// A proxy with two reactors, two pools and one of everything that is counted.
struct Plant {
    static constexpr std::size_t threads = 3;  // two reactors, one control thread

    Registry registry;
    std::unique_ptr<LaneCells> one = std::make_unique<LaneCells>(), two = std::make_unique<LaneCells>();
    upstream::PoolCells pool_cells[2];
    upstream::EndpointCells endpoint_cells[threads];
    StartHistogram starts;
    std::size_t https = registry.listeners.index_of("https"), api = registry.routes.index_of("api"),
                web = registry.pools.index_of("web");
    ConnectionMark connection{one->listener(https)}, idle{two->listener(https), ConnectionProtocol::h2};

    Plant() {
        idle.idle(true);
        serve(*one);
        serve(*two);
        endpoint_cells[0].count_response(200);
        endpoint_cells[1].count_response(503);
        endpoint_cells[1].count_error(upstream::errc::reset);
        endpoint_cells[0].count_error(upstream::errc::closed_early);
        endpoint_cells[0].connects.add(3);
        endpoint_cells[0].connections_closed.add(1);
        endpoint_cells[2].probes_passed.add();
        endpoint_cells[0].reused.add(5);
        pool_cells[0].count_retry(upstream::RetryReason::stale_connection);
        pool_cells[1].queue_duration.observe(7ms);
        starts.observe(360ms);
    }

    void serve(LaneCells& lane) const {
        ListenerCells& listener = lane.listener(https);
        listener.accepted.add();
        listener.refuse(Refusal::descriptor_limit);
        listener.count_handshake("TLSv1.3", false, HandshakeResult::ok, 2ms);
        lane.count_exceptions(3);
        lane.began(api);
        auto record = test::sample_record();
        record.route_index = api;
        record.begun = true;
        record.error = "queue_full";
        lane.count(record);
        lane.began(api);
        lane.count_malformed(http::errc::both_lengths);
        lane.tunnels(web).opened.add();
        lane.ticked(std::chrono::steady_clock::time_point{1s}, 60us);
    }

    MetricSources sources() const {
        MetricSources sources;
        sources.build = {"0.1.0", "abc", "g++ 12", "3.0", "1.52", "1.81"};
        sources.start_time = 1795372300;
        sources.registry = &registry;
        sources.lanes = {one.get(), two.get()};
        sources.ready = [] { return true; };
        sources.config_hash = [] { return std::string("5f2c91aa"); };
        sources.pools = [this] { return pools(); };
        sources.workers = [] {
            control::WorkerUsage usage;
            usage.pool = "web";
            usage.rss_bytes = 1 << 20;
            usage.cpu_ms = 1500;
            usage.started_at = 1795372301;
            usage.restarts[static_cast<std::size_t>(control::RestartReason::crash)] = 2;
            control::WorkerUsage dead = usage;
            dead.slot = 1;
            dead.started_at = 0;
            return std::vector<control::WorkerUsage>{usage, dead};
        };
        sources.master = [] {
            control::MasterStatus master;
            master.scales.push_back({"web", 3, 2, 8, true, {5, 4, 3, 2, 1}});
            master.scales.push_back({"fixed", 1, 0, 0, false, {}});
            return master;
        };
        sources.certificates = [] {
            return std::vector<CertificateSample>{{"example.com", "file", 200}, {"example.com", "file", 100}};
        };
        sources.access_dropped = [] { return std::uint64_t{4}; };
        sources.log_dropped = [] { return std::uint64_t{0}; };
        return sources;
    }

    std::vector<PoolSample> pools() const {
        PoolSample pool{"web", {}, 6, {&pool_cells[0], &pool_cells[1]}, {}, &starts, true};
        pool.states.ready = 1;
        pool.endpoints.push_back({"web-1", true, true, 1, endpoint_cells});
        pool.endpoints.push_back({"web-2", false, false, 0, {}});
        return {pool};
    }
};

bool has_line(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

/// Every name{labels}, without values.
std::set<std::string> series_of(const std::string& text) {
    std::set<std::string> series;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with('#')) series.insert(line.substr(0, line.rfind(' ')));
    }
    return series;
}

}  // namespace

TEST_CASE("a scrape sums what every reactor counted", "[admin][metrics]") {
    const Plant plant;
    const Metrics metrics(plant.sources());
    const std::string text = "\n" + metrics.scrape();
    for (
        const std::string line : {
            R"(edgeproxy_build_info{version="0.1.0",revision="abc",compiler="g++ 12",openssl="3.0",nghttp2="1.52",boost="1.81"} 1)",
            R"(edgeproxy_start_time_seconds 1795372300)",
            R"(edgeproxy_ready 1)",
            R"(edgeproxy_pool_workers_wanted{pool="web"} 3)",
            R"(edgeproxy_pool_workers_wanted{pool="fixed"} 1)",
            R"(edgeproxy_pool_workers_min{pool="web"} 2)",
            R"(edgeproxy_pool_workers_max{pool="web"} 8)",
            R"(edgeproxy_pool_workers_pinned{pool="web"} 1)",
            R"(edgeproxy_pool_autoscale_decisions_total{pool="web",decision="up",reason="queue_time"} 5)",
            R"(edgeproxy_pool_autoscale_decisions_total{pool="web",decision="held",reason="memory"} 1)",
            R"(edgeproxy_config_info{hash="5f2c91aa"} 1)",
            R"(edgeproxy_connections{listener="https",protocol="none",state="active"} 1)",
            R"(edgeproxy_connections{listener="https",protocol="h2",state="idle"} 1)",
            R"(edgeproxy_connections{listener="https",protocol="h2",state="active"} 0)",
            R"(edgeproxy_connections_accepted_total{listener="https"} 2)",
            R"(edgeproxy_connections_refused_total{listener="https",reason="descriptor_limit_reached"} 2)",
            R"(edgeproxy_tls_handshakes_total{listener="https",version="TLSv1.3",resumed="false",result="ok"} 2)",
            R"(edgeproxy_tls_handshake_duration_seconds_bucket{listener="https",le="0.0025"} 2)",
            R"(edgeproxy_tls_certificate_not_after_timestamp_seconds{name="example.com",source="file"} 100)",
            R"(edgeproxy_http_requests_total{route="api",method="GET",code="200",protocol="h2"} 2)",
            R"(edgeproxy_http_request_duration_seconds_bucket{route="api",code_class="2xx",le="0.025"} 2)",
            R"(edgeproxy_http_request_duration_seconds_bucket{route="api",code_class="2xx",le="0.01"} 0)",
            R"(edgeproxy_http_overhead_duration_seconds_bucket{route="api",le="0.0001"} 2)",
            R"(edgeproxy_http_requests_in_flight{route="api"} 2)",
            R"(edgeproxy_http_request_bytes_total{route="api"} 0)",
            R"(edgeproxy_http_response_bytes_total{route="api"} 1024)",
            R"(edgeproxy_http_errors_total{route="api",reason="queue_full"} 2)",
            R"(edgeproxy_http_malformed_total{reason="both_lengths"} 2)",
            R"(edgeproxy_websocket_tunnels{pool="web"} 2)",
            R"(edgeproxy_websocket_opened_total{pool="web"} 2)",
            R"(edgeproxy_pool_endpoints{pool="web",state="ready"} 1)",
            R"(edgeproxy_pool_endpoints{pool="web",state="down"} 0)",
            R"(edgeproxy_pool_queue_length{pool="web"} 6)",
            R"(edgeproxy_pool_queue_duration_seconds_bucket{pool="web",le="0.01"} 1)",
            R"(edgeproxy_pool_retries_total{pool="web",reason="stale_connection"} 1)",
            R"(edgeproxy_upstream_requests_total{pool="web",endpoint="web-1",code_class="5xx"} 1)",
            R"(edgeproxy_upstream_errors_total{pool="web",endpoint="web-1",reason="connection_terminated"} 2)",
            R"(edgeproxy_upstream_response_duration_seconds_count{pool="web",endpoint="web-1"} 0)",
            R"(edgeproxy_upstream_connect_duration_seconds_count{pool="web"} 0)",
            R"(edgeproxy_upstream_connections{pool="web",endpoint="web-1",state="active"} 1)",
            R"(edgeproxy_upstream_connections{pool="web",endpoint="web-1",state="idle"} 1)",
            R"(edgeproxy_upstream_connections_reused_total{pool="web",endpoint="web-1"} 5)",
            R"(edgeproxy_upstream_healthy{pool="web",endpoint="web-1"} 1)",
            R"(edgeproxy_health_checks_total{pool="web",endpoint="web-1",result="pass"} 1)",
            R"(edgeproxy_worker_up{pool="web",worker="web-1"} 1)",
            R"(edgeproxy_worker_up{pool="web",worker="web-2"} 0)",
            R"(edgeproxy_worker_start_time_seconds{pool="web",worker="web-1"} 1795372301)",
            R"(edgeproxy_worker_resident_memory_bytes{pool="web",worker="web-1"} 1048576)",
            R"(edgeproxy_worker_cpu_seconds_total{pool="web",worker="web-1"} 1.5)",
            R"(edgeproxy_worker_restarts_total{pool="web",worker="web-1",reason="crash"} 2)",
            R"(edgeproxy_worker_restarts_total{pool="web",worker="web-1",reason="reload"} 0)",
            R"(edgeproxy_worker_start_duration_seconds_bucket{pool="web",le="0.5"} 1)",
            R"(edgeproxy_event_loop_delay_seconds_bucket{thread="1",le="0.0001"} 1)",
            R"(edgeproxy_exceptions_total{thread="0"} 3)",
            R"(edgeproxy_log_messages_dropped_total{log="access"} 4)",
        }) {
        CAPTURE(line);
        CHECK(has_line(text, line));
    }
    CHECK(text.find(R"(edgeproxy_upstream_healthy{pool="web",endpoint="web-2"})") == std::string::npos);
    CHECK(text.find(R"(edgeproxy_worker_start_time_seconds{pool="web",worker="web-2"})") == std::string::npos);
    CHECK(text.find("\nprocess_open_fds ") != std::string::npos);
}

TEST_CASE("families are sorted, named once, and two scrapes compare line by line", "[admin][metrics]") {
    const Plant plant;
    const Metrics metrics(plant.sources());
    const std::string text = metrics.scrape();
    std::vector<std::string> names;
    const std::regex type("# TYPE (\\S+) (counter|gauge|histogram)");
    for (auto it = std::sregex_iterator(text.begin(), text.end(), type); it != std::sregex_iterator(); ++it) {
        names.push_back((*it)[1]);
    }
    CHECK(names.size() >= 45);
    CHECK(std::is_sorted(names.begin(), names.end()));
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
    CHECK(series_of(text) == series_of(metrics.scrape()));
}

TEST_CASE("10,000 random paths, hosts and methods add no series", "[admin][metrics]") {
    const Plant plant;
    const Metrics metrics(plant.sources());
    const auto wander = [&](int from, int to) {
        for (int i = from; i < to; ++i) {
            const std::string noise = "x" + std::to_string(i * 7919);
            auto record = test::sample_record();
            record.route_index = plant.api;
            record.method = http::method_of(noise);
            record.method_text = record.path = record.host = record.query = record.user_agent = record.client_ip =
                noise;
            record.status = 404;
            plant.one->count(record);
        }
    };
    wander(0, 1);
    const auto before = series_of(metrics.scrape());
    wander(1, 10'000);
    CHECK(series_of(metrics.scrape()) == before);
    CHECK(before.count(R"(edgeproxy_http_requests_total{route="api",method="other",code="404",protocol="h2"})") == 1);
}

TEST_CASE("ten routes, three pools and twelve endpoints stay below 2,000 series", "[admin][metrics]") {
    Plant plant;
    for (int i = 0; i < 10; ++i) {
        for (const unsigned status : {200U, 204U, 304U, 404U, 502U}) {
            auto record = test::sample_record();
            record.route_index = plant.registry.routes.index_of("r" + std::to_string(i));
            record.status = status;
            plant.one->count(record);
        }
    }
    MetricSources sources = plant.sources();
    sources.pools = [&] {
        std::vector<PoolSample> pools;
        for (int i = 0; i < 3; ++i) {
            PoolSample pool = plant.pools().front();
            pool.name = "p" + std::to_string(i);
            pool.endpoints.resize(1);
            for (int j = 1; j < 4; ++j) {
                pool.endpoints.push_back(pool.endpoints.front());
                pool.endpoints.back().name = "e" + std::to_string(j);
            }
            pools.push_back(pool);
        }
        return pools;
    };
    const Metrics metrics(std::move(sources));
    CHECK(series_of(metrics.scrape()).size() < 2000);
}

TEST_CASE("without sources there is still a page", "[admin][metrics]") {
    const Registry registry;
    MetricSources sources;
    sources.registry = &registry;
    CHECK(Metrics(std::move(sources)).scrape().find("process_cpu_seconds_total") != std::string::npos);
}

TEST_CASE("promtool has no remark", "[admin][metrics]") {
    const char* const named = std::getenv("PROMTOOL");
    const std::string tool = named != nullptr ? named : "promtool";
    if (std::system((tool + " --version >/dev/null 2>&1").c_str()) != 0) {
        WARN("SKIPPED: promtool is not installed: the page was not checked by it");
        return;
    }
    const Plant plant;
    const Metrics metrics(plant.sources());
    const test::ScratchFile page, remarks;
    std::FILE* const file = std::fopen(page.path().c_str(), "w");
    const std::string text = metrics.scrape();
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    const int code = std::system((tool + " check metrics <" + page.path() + " >" + remarks.path() + " 2>&1").c_str());
    CHECK(remarks.text().empty());
    CHECK(code == 0);
}
