// SPDX-License-Identifier: Apache-2.0
#include "config/load.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/config/support.hpp"

using namespace edgeproxy::config;
using namespace std::chrono_literals;

namespace {

Address tcp(std::string host, std::uint16_t port) {
    return {Address::Kind::tcp, std::move(host), port};
}

/// A file that is gone again at the end of the test.
class TemporaryFile {
 public:
    explicit TemporaryFile(const std::string& text) {
        char pattern[] = "/tmp/edgeproxy-load-XXXXXX";
        const int fd = ::mkstemp(pattern);
        path_ = pattern;
        ::close(fd);
        std::ofstream(path_) << text;
    }
    ~TemporaryFile() { std::filesystem::remove(path_); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

}  // namespace

TEST_CASE("six lines are a whole stack", "[config][load]") {
    const auto config = plan(R"(
listen: ":443"
tls: { cert: fullchain.pem, key: privkey.pem }
app:
  command: uvicorn main:app
  workers: 4
  health: /healthz
)");
    REQUIRE(config.listeners.size() == 1);
    CHECK(config.listeners[0].name == "https");
    CHECK(config.listeners[0].addresses == std::vector{tcp("", 443)});
    CHECK(config.listeners[0].tls);
    CHECK(config.listeners[0].protocols == std::vector{Protocol::h2, Protocol::http1});
    REQUIRE(config.tls.certificates.size() == 1);
    CHECK(config.tls.certificates[0].cert == "/srv/fullchain.pem");
    CHECK(config.tls.certificates[0].key == "/srv/privkey.pem");
    REQUIRE(config.pools.size() == 1);
    const Pool& pool = config.pools[0];
    CHECK(pool.name == "app");
    CHECK(pool.managed);
    CHECK(pool.command.argv == std::vector<std::string>{"uvicorn", "main:app"});
    CHECK(pool.command.kind == Kind::uvicorn);
    CHECK(pool.command.bind == Bind::fd);
    CHECK(pool.command.working_dir == "/srv");
    CHECK(pool.workers == 4);
    CHECK(pool.health.path == "/healthz");
    CHECK(pool.health.expect_low == 200);
    CHECK(pool.health.expect_high == 399);
    REQUIRE(config.routes.size() == 1);
    CHECK(config.routes[0].pool == "app");
    CHECK(config.routes[0].websocket);
    CHECK(config.metrics.listen == tcp("127.0.0.1", 9900));
}

TEST_CASE("three lines are a development stack on loopback", "[config][load]") {
    const auto config = plan("listen: \":8443\"\ntls: dev\napp: uvicorn main:app\n");
    CHECK(config.tls.dev);
    CHECK(config.listeners[0].addresses == std::vector{tcp("127.0.0.1", 8443)});
    CHECK(config.listeners[0].tls);
    const auto open = plan("listen: \"0.0.0.0:8443\"\ntls: dev\napp: uvicorn main:app\n");
    CHECK(open.listeners[0].addresses == std::vector{tcp("0.0.0.0", 8443)});
}

TEST_CASE("with tls, ports 80 and 8080 of `listen` become redirects", "[config][load]") {
    const auto config = plan("listen: [\":80\", \":8443\", \"10.0.0.1:8080\"]\ntls: { cert: a, key: b }\napp: prog\n");
    REQUIRE(config.listeners.size() == 2);
    CHECK(config.listeners[0].name == "http");
    CHECK(config.listeners[0].addresses == std::vector{tcp("", 80), tcp("10.0.0.1", 8080)});
    CHECK(config.listeners[0].redirect_https);
    CHECK(config.listeners[0].redirect_port == 8443);
    CHECK_FALSE(config.listeners[0].tls);
    CHECK(config.listeners[1].name == "https");
    CHECK_FALSE(config.listeners[1].redirect_https);

    const auto plain = plan("listen: [\":80\", \":8080\"]\napp: prog\n");
    REQUIRE(plain.listeners.size() == 1);
    CHECK(plain.listeners[0].name == "http");
    CHECK_FALSE(plain.listeners[0].redirect_https);
}

TEST_CASE("a listener in the long form speaks TLS by itself on 443 and 8443 only", "[config][load]") {
    const auto config = plan(R"(
listeners:
  a: { address: ":443" }
  b: { address: ":8443" }
  c: { address: ":9443" }
  d: { address: ":10443", tls: true }
  e: ":81"
  f: { address: ":80", redirect: ":444" }
tls: { cert: a, key: b }
app: prog
)");
    std::string speaks;
    for (const auto& listener : config.listeners) speaks += listener.name + (listener.tls ? "+" : "-");
    CHECK(speaks == "a+b+c-d+e-f-");
    CHECK(config.listeners[5].redirect_port == 444);
    CHECK_FALSE(plan("listeners: { a: { address: \":443\" } }\napp: prog\n").listeners[0].tls);
}

TEST_CASE("one socket for both families is not asked for twice", "[config][load]") {
    const auto config = plan("listen: [\":8000\", \"[::]:8000\", \"0.0.0.0:8000\", \"127.0.0.1:8001\"]\napp: prog\n");
    CHECK(config.listeners[0].addresses == std::vector{tcp("", 8000), tcp("127.0.0.1", 8001)});
}

TEST_CASE("the sidecar is read as written", "[config][load]") {
    const auto config = plan(R"(
listeners:
  https: { address: ":8443", tls: true }
tls:
  certificates:
    - { cert: /tls/tls.crt, key: /tls/tls.key }   # a secret; renewals are picked up
pools:
  app:
    endpoints: [ "127.0.0.1:8000" ]
    health: /healthz
routes:
  - pool: app
    websocket: true
metrics: { listen: ":9900" }
server:
  shutdown: { delay: 5s, grace_period: 25s }
logging: { format: json, access: { format: json } }
)");
    const Pool& pool = config.pools.at(0);
    CHECK_FALSE(pool.managed);
    REQUIRE(pool.endpoints.size() == 1);
    CHECK(pool.endpoints[0] == Endpoint{"127.0.0.1:8000", tcp("127.0.0.1", 8000), Scheme::http, 1, 256, {}});
    CHECK(pool.timeouts.connect == 1s);
    CHECK(config.server.shutdown == Shutdown{5s, 25s});
    CHECK(config.logging.format == LogFormat::json);
    CHECK(config.logging.access.format == LogFormat::json);
    CHECK(config.metrics.listen == tcp("", 9900));
}

TEST_CASE("the whole chain, as far as it is built, is read as written", "[config][load]") {
    const auto result = load(R"(
# yaml-language-server: $schema=./stack.schema.json
version: 1
server:
  user: www-data
  threads: auto
  shutdown: { grace_period: 30s }
client_ip:
  trusted_proxies: [10.0.0.0/8, "fd00::/8"]
listeners:
  http:
    address: ":80"
    redirect: https
  https:
    address: [":443", "[::]:443"]
    tls: true
    protocols: [h2, http/1.1]
tls:
  certificates:
    - { cert: /etc/le/fullchain.pem, key: /etc/le/privkey.pem }
    - { cert: /etc/ssl/api.crt, key: /etc/ssl/api.key, hosts: [api.example.com, "*.api.example.com"] }
  profile: intermediate
  hsts: 1y
pools:
  web:
    command: uvicorn shop.main:app
    workers: auto
    working_dir: /srv/shop
    user: shop
    environment: { DATABASE_URL: "${DATABASE_URL:-postgres://db}" }
    health: { path: /healthz, interval: 5s, timeout: 2s, unhealthy_after: 3, healthy_after: 1 }
    balance: least_requests
    max_in_flight: 64
    queue: { size: 1000, timeout: 10s }
    stop_grace_period: 30s
  chat:
    command: [daphne, -u, "{socket}", --proxy-headers, "chat.asgi:application"]
    workers: 2
    health: /up
  legacy:
    endpoints:
      - 10.0.0.11:8000
      - { address: "10.0.0.12:8000", weight: 2 }
    health: { path: /status, interval: 10s }
    retries: 1
routes:
  - name: chat
    path: /ws
    pool: chat
    websocket: { idle_timeout: 10m }
  - name: api
    host: api.example.com
    pool: web
    max_body: 20MiB
  - name: legacy
    path: /v1
    pool: legacy
    strip_prefix: /v1
  - name: site
    host: [example.com, www.EXAMPLE.com]
    pool: web
  - name: old
    host: old.example.com
    redirect: { to: "https://example.com{uri}", status: 308 }
error_pages:
  format: auto
logging:
  level: info
  format: json
  access: { output: stdout, format: json, exclude: [/healthz] }
metrics: { listen: "10.0.0.5:9900", path: /metrics }
)");
    CHECK(described(result.problems) == "");
    REQUIRE(result.config);
    const Config& config = *result.config;
    CHECK(config.server.threads == 4);
    CHECK(config.client_ip.trusted_proxies.size() == 2);
    CHECK(config.listeners[0].redirect_port == 443);
    CHECK(config.listeners[1].addresses == std::vector{tcp("", 443)});
    CHECK(config.tls.certificates[1].hosts == std::vector<std::string>{"api.example.com", "*.api.example.com"});
    CHECK(config.tls.hsts == 8760h);
    CHECK(config.find_pool("web")->workers == 4);
    CHECK(config.find_pool("web")->command.user == "shop");
    CHECK(config.find_pool("web")->command.environment.at("DATABASE_URL") == "postgres://db");
    CHECK(config.find_pool("chat")->command.kind == Kind::daphne);
    CHECK(config.find_pool("chat")->command.bind == Bind::unix_path);
    CHECK(config.find_pool("chat")->command.user == "www-data");
    CHECK(config.find_pool("legacy")->endpoints[1].weight == 2);
    CHECK(config.find_pool("legacy")->timeouts.connect == 3s);
    CHECK(config.find_pool("legacy")->connect_retries == 1);
    CHECK(config.find_pool("nobody") == nullptr);
    CHECK(config.routes[0].websocket_idle == 10min);
    CHECK(config.routes[1].max_body == ByteSize{20} << 20);
    CHECK(config.routes[3].hosts[1] == "www.example.com");
    CHECK(config.routes[4].redirect == Redirect{"https://example.com{uri}", 308});
    CHECK(config.logging.access.exclude == std::vector<std::string>{"/healthz"});
}

TEST_CASE("gunicorn's worker classes decide about requests at once and kept connections", "[config][load]") {
    const auto [command, at_once, kept] = GENERATE(table<std::string, unsigned, Duration>({
        {"gunicorn main:app", 1, 0ms},
        {"gunicorn -k uvicorn_worker.UvicornWorker main:app", 256, 1s},
        {"gunicorn --threads 8 main:app", 8, 1s},
        {"gunicorn --threads 8 --keep-alive 5 main:app", 8, 4s},
        {"uvicorn main:app", 256, 60s},
        {"uvicorn --timeout-keep-alive 5 main:app", 256, 4s},
        {"uvicorn --timeout-keep-alive 600 main:app", 256, 60s},
        {"uvicorn --timeout-keep-alive 1 main:app", 256, 0ms},
        {"node server.js", 256, 4s},
    }));
    INFO(command);
    const Pool pool = plan("listen: \":8080\"\napp: " + command + "\n").pools[0];
    CHECK(pool.max_in_flight == at_once);
    CHECK(pool.keepalive.idle_timeout == kept);
}

TEST_CASE("merge keys and aliases work as docker-compose users write them", "[config][load]") {
    const auto config = plan(R"(
x-worker: &worker
  stop_signal: INT
  workers: 3
  environment: &env { A: "1", B: "2" }
listen: ":8080"
pools:
  one: { <<: *worker, command: one }
  two:
    <<: [{ workers: 7 }, *worker]
    command: two
    environment: { <<: *env, B: "3" }
routes:
  - { path: /one, pool: one }
  - pool: two
)");
    CHECK(config.pools[0].workers == 3);
    CHECK(config.pools[0].command.stop_signal == "INT");
    CHECK(config.pools[1].workers == 7);
    CHECK(config.pools[1].command.environment == std::map<std::string, std::string>{{"A", "1"}, {"B", "3"}});
}

TEST_CASE("a value that several aliases stand for is complained about once", "[config][load]") {
    CHECK(
        problems_of(
            "x-a: &a { workers: 0 }\nlisten: \":1\"\npools:\n  a: { <<: *a, command: a }\n  b: { <<: *a, command: b }\n"
            "routes: [{ pool: a, path: /a }, { pool: b }]\n") ==
        "1:20+1 error out-of-range: \"0\" is too small for \"workers\" | at least 1, or auto\n");
}

TEST_CASE("variables are put in before types are looked at, and their values are not shown", "[config][load]") {
    CHECK(plan("listen: \":${PORT:-81}\"\napp: { command: prog, workers: \"${N:-2}\" }\n").pools[0].workers == 2);
    const auto problems = problems_of(
        "listen: \":80\"\napp: { command: prog, balance: \"${SECRET}\" }\nserver: { runtime_dir: \"${SECRET}\" }\n");
    CHECK(problems.find("hunter2") == std::string::npos);
    CHECK(problems.find("2:32+11 error bad-word: \"${SECRET}\" becomes something that is not valid here") == 0);
}

TEST_CASE("env_file and environment meet, environment wins", "[config][load]") {
    const TemporaryFile file("A=file\nB=$file\n");
    const auto config =
        plan("listen: \":80\"\napp: { command: prog, env_file: " + file.path() + ", environment: { A: here } }\n");
    CHECK(config.pools[0].command.environment == std::map<std::string, std::string>{{"A", "here"}, {"B", "$file"}});

    const TemporaryFile broken("A=1\noops\n");
    CHECK(described(load("listen: \":80\"\napp: { command: prog, env_file: " + broken.path() + " }\n").problems) ==
          "2:1+1 error bad-env-file: this line is not NAME=value | comments begin with #\n");

    auto options = quiet_world();
    options.read_env_files = false;
    CHECK(load_text("listen: \":80\"\napp: { command: prog, env_file: /nowhere }\n", "f", options).config);
}

TEST_CASE("a file is read from its directory, and its absence is said", "[config][load]") {
    const TemporaryFile file(
        "listen: \":80\"\ntls: { cert: a.pem, key: /k.pem }\napp: { command: prog, working_dir: sub/../x }\n");
    const auto result = load_file(file.path());
    CHECK(result.source.find("listen") == 0);
    CHECK(result.places.at("tls.certificates[0].cert") == Place{2, 14, 5});
    CHECK_FALSE(result.config);  // only a redirect
    const auto good =
        load_file(TemporaryFile("listen: \":81\"\napp: { command: prog, working_dir: sub/../x }\n").path());
    REQUIRE(good.config);
    CHECK(good.config->pools[0].command.working_dir == "/tmp/x");

    const auto missing = load_file("/nowhere/stack.yaml");
    CHECK_FALSE(missing.config);
    REQUIRE(missing.problems.size() == 1);
    CHECK(headline(missing.problems[0]) ==
          "/nowhere/stack.yaml: error: cannot read it: No such file or directory [no-file]");
    CHECK(load_file("/tmp").problems.at(0).text == "this is a directory");
    CHECK(load_file("/dev/zero").problems.at(0).rule == "too-large");
}

TEST_CASE("a normal file is loaded fast enough to do it at every reload", "[config][load]") {
    std::string text = "listen: \":80\"\npools:\n";
    for (int i = 0; i < 50; ++i)
        text += "  p" + std::to_string(i) + ": { command: uvicorn main:app, health: /up, queue: { size: 10 } }\n";
    text += "routes:\n";
    for (int i = 0; i < 50; ++i)
        text += "  - { path: /p" + std::to_string(i) + ", pool: p" + std::to_string(i) + " }\n";
    const auto start = std::chrono::steady_clock::now();
    CHECK(load(text).config);
    // Fifty pools take some milliseconds; the bound only catches a loader that has become quadratic.
    CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("paths of sockets are bounded", "[config][load]") {
    const std::string longest(longest_runtime_dir - 1, 'x');
    const auto with = [](const std::string& path) {
        return "listen: \":8080\"\napp: prog\nserver: { runtime_dir: /" + path + " }\n";
    };
    CHECK(problems_of(with(longest)).empty());
    CHECK(problems_of(with(longest + "x")).find("3:24+77 error path-too-long") == 0);
    CHECK(
        problems_of("listen: \"unix:/" + std::string(107, 'x') + "\"\napp: prog\n").find("1:9+115 error bad-address") ==
        0);
    CHECK(problems_of("listen: \"unix:/" + std::string(106, 'x') + "\"\napp: prog\n").empty());
}

TEST_CASE("what is allowed but rarely meant is warned of", "[config][load]") {
    const std::string head = "listen: \":8080\"\napp: prog\n";
    const std::string everybody = GENERATE(std::string(":9900"), "0.0.0.0:9900", "[::]:9900");
    CHECK(problems_of(head + "metrics: { listen: \"" + everybody + "\" }\n").find("warning open-metrics: ") !=
          std::string::npos);
    const std::string some = GENERATE(std::string("127.0.0.1:9900"), "10.0.0.1:9900", "unix:/run/m.sock");
    CHECK(problems_of(head + "metrics: { listen: \"" + some + "\" }\n").empty());
    CHECK(problems_of(head + "metrics: off\n").empty());
}
