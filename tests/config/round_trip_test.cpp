// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <set>

#include "config/field_table.hpp"
#include "config/reader.hpp"
#include "config/writer.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;

namespace {

const char* rich = R"(
server: { user: www-data, group: www, threads: 3, runtime_dir: /run/x, state_dir: /var/x, max_connections: 99, shutdown: { delay: 1s, grace_period: 7s } }
limits: { memory: 17MiB, loop_lag: off, connections_per_source: off, requests_per_source: 8, streams_per_source: 77 }
client_ip: { trusted_proxies: [10.0.0.0/8, "fd00::/8", 0.0.0.0/0] }
listeners:
  http: { address: ":80", redirect: https }
  https:
    address: ["127.0.0.1:443", "unix:/run/a b.sock"]
    tls: true
    protocols: [http/1.1, h2]
    backlog: 7
    proxy_protocol: required
    http2: { max_streams: 9, glitches: 50, glitch_rate: 5, window: 128KiB, connection_window: 2MiB }
    timeouts: { handshake: 1s, first_request: 2s, header: 3s, body: 4s, write: 5s, keepalive: 1500ms, tunnel_idle: 7s, connection_age: 8s, settings_ack: 9s, ping_interval: off, ping: 11s, proxy_protocol: 8s }
    limits: { request_line: 1000B, header_size: 2KiB, headers: 10, requests_per_connection: 5, body_rate: 77B, response_rate: off }
  own:
    address: ":9443"
    tls: { hsts: 2y, profile: intermediate, client_auth: { mode: require, ca: ca4.pem } }
tls:
  certificates: [{ cert: a.pem, key: b.pem, hosts: ["*.example.com"], ocsp: o.der, client_auth: { mode: require, ca: ca1.pem, crl: l1.pem, depth: 3 } }, { cert: c, key: d, key_password_file: p.txt, default: true }]
  dir: /etc/certs
  alpn: [http/1.1]
  profile: modern
  ciphers: [TLS_AES_128_GCM_SHA256]
  groups: [X25519]
  client_auth: { mode: request, ca: ca2.pem, crl: l2.pem, depth: 4 }
  unknown_host: reject
  hsts: 1y
  session: { tickets: false }
pools:
  app:
    command: ["python", "-m", "uvicorn", "a b", "$$HOME", "q\"uo\\te", "{fd}", "ü €", ""]
    environment: { A: "${SECRET}", "B$C": "$$x\n\ty", "null": "", "D.e": "null" }
    user: shop
    group: staff
    workers: 3
    autoscale: { min: 2, max: 9, queue_time: 20ms, up_after: 2s, down_after: 1m, memory: 70% }
    stop_signal: INT
    resources: { memory: 1GiB, open_files: 4096, nice: 5, cpus: "7,0-2,4" }
    watch: ["**/*.py", "templates/*.html"]
    start_timeout: 3s
    start_parallel: 9
    stop_grace_period: 0s
    restart: { backoff: 1s-1m, crash_loop: 9/1h }
    recycle: { requests: 900, jitter: 5%, lifetime: 7d, memory: 300MiB }
    hang: { suspect_after: 3s, kill_after: 20s }
    surge: 2
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
  clear:
    endpoints: ["h2c://a:1", "b:1"]
    protocol: h2c
  secret:
    endpoints: ["https://a:1", "https://[::1]:2", "https://unix:/s", { address: "https://e:1", tls: { ca: ca3.pem, server_name: e.test, cert: e.pem, key: ek.pem } }, { address: "https://f:1", tls: { insecure: true } }]
    protocol: auto
    tls: { ca: ca.pem, server_name: s.test, cert: c.pem, key: k.pem }
routes:
  - { name: one, host: ["a.b", "*.c"], path: [/x, "=/y", /*/**], method: [GET, POST], pool: app, strip_prefix: /x, add_prefix: /y }
  - { path: /w, pool: others, websocket: { enabled: false, idle_timeout: 9s, max_tunnels: 7, allowed_origins: ["https://a.b", "http://*.c:81"] }, max_body: off, access_log: false }
  - { path: /r, redirect: { to: "https://{host}{uri}", status: 302 } }
  - { path: /s, respond: { status: 503, body: "line\nline: \"x\" # $$5", content_type: text/html } }
headers: { forwarded: both, request_id: off, server: pass, via: off, underscores: pass }
error_pages: { format: json, details: true }
logging: { level: debug, format: json, output: /var/log/x, access: { enabled: off, output: stderr, format: combined, exclude: [/a, /b] } }
metrics: { enabled: false, listen: "127.0.0.1:1", path: /m }
)";

/// The rows of the field table that a canonical form fills.
void collect_rows(const Node& node, const std::string& row, std::set<std::string>& rows) {
    if (!row.empty()) rows.insert(row);
    for (const auto& item : node.items) {
        if (item->is(Node::Kind::map)) collect_rows(*item, row + "[]", rows);
    }
    const bool named = row == "listeners" || row == "pools";
    const Field* field = find_field(row);
    if (field != nullptr && field->type == FieldType::text_map) return;
    for (const auto& entry : node.entries)
        collect_rows(*entry.value, (row.empty() ? "" : row + ".") + (named ? "<name>" : entry.key), rows);
}

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
    for (const char* word : {"hunter2", "command", "environment", "working_dir", "uvicorn,", "shop", "stop_signal",
                             "watch", "open_files"}) {
        INFO(word);
        CHECK(yaml.find(word) == std::string::npos);
    }
    Command& command = config.pools[0].command;
    command = Command{{}, command.kind, command.sync_worker, command.bind, {}, {}, {}, {}, {}, {}, {}};
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
    std::set<std::string> written;
    for (const auto& config : {plan(rich), plan("listen: \":443\"\ntls: dev\napp: prog\n")}) {
        Problems problems("dump");
        collect_rows(*read_yaml(to_yaml(config), problems), "", written);
    }
    // Short forms and what has become part of another key.
    const std::set<std::string_view> expanded{"listen", "app", "tls.cert", "tls.key", "pools.<name>.env_file"};
    for (const Field& field : field_table()) {
        if (!field.supported() || field.internal() || expanded.contains(field.path)) continue;
        INFO(field.path);
        CHECK(written.contains(std::string(field.path)));
    }
}

TEST_CASE("every supported key says something: another value is another plan", "[config][round_trip]") {
    const std::vector<std::pair<const char*, const char*>> changes{
        {"threads: 3", "threads: 2"},
        {"user: www-data", "user: bin"},
        {"group: www", "group: bin"},
        {"/run/x", "/run/y"},
        {"max_connections: 99", "max_connections: 98"},
        {"delay: 1s", "delay: 2s"},
        {"grace_period: 7s", "grace_period: 8s"},
        {"10.0.0.0/8", "10.0.0.0/9"},
        {"redirect: https", "redirect: \":9\""},
        {"127.0.0.1:443", "127.0.0.2:443"},
        {"[http/1.1, h2]", "[h2, http/1.1]"},
        {"backlog: 7", "backlog: 8"},
        {"max_streams: 9", "max_streams: 8"},
        {"window: 128KiB", "window: 64KiB"},
        {"connection_window: 2MiB", "connection_window: 3MiB"},
        {"streams_per_source: 77", "streams_per_source: off"},
        {"handshake: 1s", "handshake: 9s"},
        {"first_request: 2s", "first_request: 9s"},
        {"header: 3s", "header: 9s"},
        {"body: 4s", "body: 9s"},
        {"write: 5s", "write: 9s"},
        {"keepalive: 1500ms", "keepalive: 9s"},
        {"tunnel_idle: 7s", "tunnel_idle: 9s"},
        {"request_line: 1000B", "request_line: 999B"},
        {"header_size: 2KiB", "header_size: 3KiB"},
        {"headers: 10,", "headers: 11,"},
        {"requests_per_connection: 5", "requests_per_connection: 6"},
        {"cert: a.pem", "cert: z.pem"},
        {"key_password_file: p.txt", "key_password_file: q.txt"},
        {"default: true", "default: false"},
        {"dir: /etc/certs", "dir: /etc/others"},
        {"alpn: [http/1.1]", "alpn: [h2, http/1.1]"},
        {"hsts: 2y", "hsts: 3y"},
        {"ca: ca4.pem", "ca: ca5.pem"},
        {"ca: ca3.pem", "ca: ca6.pem"},
        {"server_name: e.test", "server_name: g.test"},
        {"cert: e.pem", "cert: g.pem"},
        {"key: ek.pem", "key: gk.pem"},
        {"insecure: true", "insecure: false"},
        {"key: b.pem", "key: z.pem"},
        {"*.example.com", "*.example.org"},
        {"profile: modern", "profile: intermediate"},
        {"unknown_host: reject", "unknown_host: default"},
        {"hsts: 1y", "hsts: 1d"},
        {"tickets: false", "tickets: true"},
        {"\"a b\"", "\"a c\""},
        {"A: \"${SECRET}\"", "A: x"},
        {"user: shop", "user: sync"},
        {"group: staff", "group: bin"},
        {"state_dir: /var/x", "state_dir: /var/y"},
        {"workers: 3", "workers: 4"},
        {"min: 2", "min: 1"},
        {"max: 9", "max: 8"},
        {"queue_time: 20ms", "queue_time: 21ms"},
        {"up_after: 2s", "up_after: 3s"},
        {"down_after: 1m", "down_after: 2m"},
        {"memory: 70%", "memory: 71%"},
        {"stop_signal: INT", "stop_signal: QUIT"},
        {"start_timeout: 3s", "start_timeout: 4s"},
        {"start_parallel: 9", "start_parallel: 8"},
        {"stop_grace_period: 0s", "stop_grace_period: 1s"},
        {"requests: 900", "requests: off"},
        {"jitter: 5%", "jitter: 6%"},
        {"lifetime: 7d", "lifetime: off"},
        {"memory: 300MiB", "memory: off"},
        {"suspect_after: 3s", "suspect_after: 4s"},
        {"kill_after: 20s", "kill_after: 21s"},
        {"surge: 2", "surge: 0"},
        {"1s-1m", "1s-2m"},
        {"1s-1m", "2s-1m"},
        {"9/1h", "8/1h"},
        {"9/1h", "9/2h"},
        {"drain_timeout: 0s", "drain_timeout: 1s"},
        {"required: false", "required: true"},
        {"balance: round_robin", "balance: least_requests"},
        {"max_in_flight: 7", "max_in_flight: 8"},
        {"size: 0", "size: 1"},
        {"timeout: 1ms", "timeout: 2ms"},
        {"hold: off", "hold: 1s"},
        {"path: /up", "path: /down"},
        {"interval: 1s", "interval: 2s"},
        {"timeout: 500ms", "timeout: 501ms"},
        {"unhealthy_after: 9", "unhealthy_after: 8"},
        {"healthy_after: 8", "healthy_after: 7"},
        {"expect: 204", "expect: 200-204"},
        {"host: h", "host: i"},
        {"outlier: off", "outlier: true"},
        {"outlier: off", "outlier: { enabled: off, failures: 9 }"},
        {"outlier: off", "outlier: { enabled: off, window: 9s }"},
        {"outlier: off", "outlier: { enabled: off, eject: 9s }"},
        {"max_idle: 0", "max_idle: 1"},
        {"idle_timeout: off", "idle_timeout: 1s"},
        {"connect: 9ms", "connect: 8ms"},
        {"response: 8s", "response: 9s"},
        {"idle: 7s", "idle: 8s"},
        {"write: 6s", "write: 7s"},
        {"retries: 0", "retries: 1"},
        {"host_header: fixed.example.com", "host_header: preserve"},
        {"http://a:1", "http://a:2"},
        {"two words", "three words"},
        {"weight: 9", "weight: 8"},
        {"max_in_flight: 3", "max_in_flight: 4"},
        {"name: one", "name: two"},
        {"a.b", "a.c"},
        {"=/y", "=/z"},
        {"GET, POST", "GET, PUT"},
        {"path: /w, pool: others", "path: /w, pool: app"},
        {"strip_prefix: /x", "strip_prefix: /z"},
        {"add_prefix: /y", "add_prefix: /z"},
        {"{ enabled: false, idle", "{ enabled: true, idle"},
        {"idle_timeout: 9s", "idle_timeout: 8s"},
        {"max_body: off", "max_body: 1B"},
        {"access_log: false", "access_log: true"},
        {"https://{host}", "http://{host}"},
        {"status: 302", "status: 303"},
        {"status: 503", "status: 502"},
        {"# $$5", "# $$6"},
        {"text/html", "text/plain"},
        {"forwarded: both", "forwarded: x"},
        {"request_id: off", "request_id: X"},
        {"server: pass", "server: off"},
        {"via: off", "via: edge"},
        {"underscores: pass", "underscores: drop"},
        {"format: json, details", "format: html, details"},
        {"details: true", "details: false"},
        {"level: debug", "level: warn"},
        {"format: json, output", "format: console, output"},
        {"/var/log/x", "/var/log/y"},
        {"access: { enabled: off", "access: { enabled: true"},
        {"output: stderr", "output: stdout"},
        {"format: combined", "format: json"},
        {"[/a, /b]", "[/a]"},
        {"metrics: { enabled: false", "metrics: { enabled: true"},
        {"127.0.0.1:1", "127.0.0.1:2"},
        {"path: /m ", "path: /n "},
    };
    const Config before = plan(rich);
    for (const auto& [from, to] : changes) {
        INFO(from << " -> " << to);
        std::string text = rich;
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, std::string(from).size(), to);
        CHECK_FALSE(plan(text) == before);
    }
}
