// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <set>

#include "config/field_table.hpp"
#include "config/writer.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;

namespace {

const char* rich = R"(
server: { user: www-data, group: www, threads: 3, runtime_dir: /run/x, max_connections: 99, shutdown: { delay: 1s, grace_period: 7s } }
client_ip: { trusted_proxies: [10.0.0.0/8, "fd00::/8", 0.0.0.0/0] }
listeners:
  http: { address: ":80", redirect: https }
  https:
    address: ["127.0.0.1:443", "unix:/run/a b.sock"]
    tls: true
    protocols: [http/1.1, h2]
    backlog: 7
    http2: { max_streams: 9 }
    timeouts: { handshake: 1s, first_request: 2s, header: 3s, body: 4s, write: 5s, keepalive: 1500ms, tunnel_idle: 7s }
    limits: { request_line: 1000B, header_size: 2KiB, headers: 10, requests_per_connection: 5 }
tls:
  certificates: [{ cert: a.pem, key: b.pem, hosts: ["*.example.com"] }, { cert: c, key: d }]
  profile: modern
  unknown_host: reject
  hsts: 1y
  session: { tickets: false }
pools:
  app:
    command: ["python", "-m", "uvicorn", "a b", "$$HOME", "q\"uo\\te", "{fd}", "ü €", ""]
    environment: { A: "${SECRET}", "B$C": "$$x\n\ty", "null": "", "D.e": "null" }
    user: shop
    workers: 3
    stop_signal: INT
    start_timeout: 3s
    start_parallel: 9
    stop_grace_period: 0s
    restart: { backoff: 1s-1m, crash_loop: 9/1h }
    drain_timeout: 0s
    required: false
    balance: round_robin
    max_in_flight: 7
    queue: { size: 0, timeout: 1ms }
    hold: off
    health: { path: /up, interval: 1s, timeout: 500ms, unhealthy_after: 9, healthy_after: 8, expect: 204, host: h }
    outlier: off
    keepalive: { max_idle: 0, idle_timeout: off }
    timeouts: { connect: 9ms, response: 8s, idle: 7s, write: 6s }
    retries: 0
    host_header: fixed.example.com
  others:
    endpoints: ["http://a:1", { address: "unix:/x", name: "two words", weight: 9, max_in_flight: 3 }]
    host_header: endpoint
routes:
  - { name: one, host: ["a.b", "*.c"], path: [/x, "=/y", /*/**], method: [GET, POST], pool: app, strip_prefix: /x, add_prefix: /y }
  - { path: /w, pool: others, websocket: { enabled: false, idle_timeout: 9s }, max_body: off, access_log: false }
  - { path: /r, redirect: { to: "https://{host}{uri}", status: 302 } }
  - { path: /s, respond: { status: 503, body: "line\nline: \"x\" # $$5", content_type: text/html } }
headers: { forwarded: both, request_id: off, server: pass, via: off, underscores: pass }
error_pages: { format: json, details: true }
logging: { level: debug, format: json, output: /var/log/x, access: { enabled: off, output: stderr, format: combined, exclude: [/a, /b] } }
metrics: { enabled: false, listen: "127.0.0.1:1", path: /m }
)";

Config load_again(const std::string& yaml, bool internal = false) {
    auto options = quiet_world();
    options.internal = internal;
    options.base_dir = "/elsewhere";
    options.cpus = 9;
    options.file_limit = 77'777;
    auto result = load_text(yaml, "dump.yaml", options);
    INFO(yaml);
    if (!result.config) throw std::runtime_error(described(result.problems));
    return *result.config;
}

}  // namespace

TEST_CASE("the canonical form reads back as the same plan, wherever it is read", "[config][round_trip]") {
    const std::string text = GENERATE(std::string(rich), std::string("listen: \":80\"\napp: prog\n"),
                                      std::string("listen: [\":80\", \":443\"]\ntls: dev\napp: gunicorn main:app\n"),
                                      std::string("listen: \":80\"\npools: { a: { endpoints: [\"a:1\"] } }\n"));
    const Config config = plan(text);
    CHECK(load_again(to_yaml(config)) == config);
    CHECK(to_yaml(load_again(to_yaml(config))) == to_yaml(config));
}

TEST_CASE("the proxy's copy has no command, no secret, no user, and is the same plan without them",
          "[config][round_trip]") {
    Config config = plan(rich);
    const std::string yaml = to_yaml(config, {.for_proxy = true});
    for (const char* word : {"hunter2", "command", "environment", "working_dir", "uvicorn,", "shop", "stop_signal"}) {
        INFO(word);
        CHECK(yaml.find(word) == std::string::npos);
    }
    Command& command = config.pools[0].command;
    command = Command{{}, command.kind, command.sync_worker, command.bind, {}, {}, {}, {}, {}};
    CHECK(load_again(yaml, true) == config);
    CHECK(to_yaml(load_again(yaml, true)) == yaml);
    CHECK_FALSE(load(yaml).config);
}

TEST_CASE("secrets are hidden from people", "[config][round_trip]") {
    const std::string yaml = to_yaml(plan(rich), {.hide_secrets = true});
    CHECK(yaml.find("hunter2") == std::string::npos);
    CHECK(yaml.find("A: \"***\"") != std::string::npos);
}

TEST_CASE("a text is quoted exactly when it has to be", "[config][round_trip]") {
    const auto [text, written] = GENERATE(table<std::string, std::string>({
        {"plain-1.2/x_y", "plain-1.2/x_y"},
        {"", "\"\""},
        {"null", "\"null\""},
        {"~", "\"~\""},
        {"-x", "\"-x\""},
        {"a: b", "\"a: b\""},
        {"$5", "\"$$5\""},
        {"\"\\\n\x01", "\"\\\"\\\\\\n\\x01\""},
        {"\xc3\xa4", "\"\xc3\xa4\""},
    }));
    CHECK(yaml_scalar(text) == written);
    CHECK(yaml_key("a$b") == "\"a$b\"");
}

TEST_CASE("every supported key is written out, so none is read and forgotten", "[config][round_trip]") {
    const std::string managed = to_yaml(plan(rich)) + to_yaml(plan("listen: \":443\"\ntls: dev\napp: prog\n"));
    // Short forms and what has become part of another key.
    const std::set<std::string_view> expanded{"listen", "app", "tls.cert", "tls.key", "pools.<name>.env_file"};
    for (const Field& field : field_table()) {
        const auto name = last_part(field.path);
        if (!field.supported() || field.internal() || expanded.contains(field.path) || name.find('<') == 0 ||
            name.ends_with("[]"))
            continue;
        INFO(field.path);
        CHECK(managed.find(std::string(name) + ":") != std::string::npos);
    }
}
