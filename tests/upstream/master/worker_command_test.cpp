// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/worker_command.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

namespace edgeproxy::master {
namespace {

using Variables = std::map<std::string, std::string>;

const Place by_fd{0, {config::Address::Kind::unix_path, "/run/w1/s", 0}, 3};
const Place by_path{1, {config::Address::Kind::unix_path, "/run/w2/s", 0}, -1};
const Place by_port{2, {config::Address::Kind::tcp, "127.0.0.1", 41000}, -1};

config::Pool pool_of(config::Kind kind) {
    config::Pool pool;
    pool.name = "app";
    pool.command.kind = kind;
    return pool;
}

Variables variables(const config::Pool& pool, const Place& place, const std::vector<std::string>& inherited = {}) {
    Variables out;
    for (const std::string& entry : worker_environment(pool, place, inherited)) {
        const std::size_t equals = entry.find('=');
        CHECK(out.emplace(entry.substr(0, equals), entry.substr(equals + 1)).second);
    }
    return out;
}

TEST_CASE("placeholders of a command are filled in", "[command]") {
    config::Pool pool = pool_of(config::Kind::generic);
    pool.command.argv = {"serve", "-u", "{socket}", "fd://{fd}", "{host}:{port}", "{pool}-{index}", "{other}", "{"};
    using Words = std::vector<std::string>;
    CHECK(worker_arguments(pool, by_fd) == Words{"serve", "-u", "/run/w1/s", "fd://3", ":", "app-1", "{other}", "{"});
    CHECK(worker_arguments(pool, by_port) ==
          Words{"serve", "-u", "", "fd://", "127.0.0.1:41000", "app-3", "{other}", "{"});
}

TEST_CASE("a placeholder's value is not looked at again", "[command]") {
    config::Pool pool = pool_of(config::Kind::generic);
    pool.name = "{index}";
    pool.command.argv = {"{pool}"};
    CHECK(worker_arguments(pool, by_fd).front() == "{index}");
}

TEST_CASE("every worker is told who it is", "[command]") {
    const Variables got = variables(pool_of(config::Kind::generic), by_path, {"PATH=/bin", "WEB_CONCURRENCY=4"});
    CHECK(got == Variables{{"PATH", "/bin"},
                           {"EDGEPROXY_POOL", "app"},
                           {"EDGEPROXY_WORKER", "2"},
                           {"EDGEPROXY_SOCKET", "/run/w2/s"},
                           {"WEB_CONCURRENCY", "1"},
                           {"PYTHONUNBUFFERED", "1"},
                           {"PYTHONFAULTHANDLER", "1"},
                           {"FORWARDED_ALLOW_IPS", "*"}});
}

TEST_CASE("on TCP there is a port, and no blind trust in who speaks", "[command]") {
    const Variables got = variables(pool_of(config::Kind::generic), by_port, {"FORWARDED_ALLOW_IPS=*", "PORT=1"});
    CHECK(got.at("PORT") == "41000");
    CHECK(got.at("EDGEPROXY_SOCKET") == "127.0.0.1:41000");
    CHECK(got.count("FORWARDED_ALLOW_IPS") == 0);
}

TEST_CASE("uvicorn gets its socket as it can take it", "[command]") {
    const config::Pool pool = pool_of(config::Kind::uvicorn);
    CHECK(variables(pool, by_fd).at("UVICORN_FD") == "3");
    CHECK(variables(pool, by_fd).at("UVICORN_TIMEOUT_KEEP_ALIVE") == "75");
    CHECK(variables(pool, by_path, {"UVICORN_FD=9"}).at("UVICORN_UDS") == "/run/w2/s");
    CHECK(variables(pool, by_path, {"UVICORN_FD=9"}).count("UVICORN_FD") == 0);
    CHECK(variables(pool, by_port).at("UVICORN_HOST") == "127.0.0.1");
    CHECK(variables(pool, by_port).at("UVICORN_PORT") == "41000");
}

TEST_CASE("gunicorn's arguments of the user stay, behind ours", "[command]") {
    config::Pool pool = pool_of(config::Kind::gunicorn);
    CHECK(variables(pool, by_fd).at("GUNICORN_CMD_ARGS") == "--bind fd://3 --timeout 0");
    CHECK(variables(pool, by_path).at("GUNICORN_CMD_ARGS") == "--bind unix:/run/w2/s --timeout 0");
    CHECK(variables(pool, by_port).at("GUNICORN_CMD_ARGS") == "--bind 127.0.0.1:41000 --timeout 0");
    CHECK(variables(pool, by_fd, {"GUNICORN_CMD_ARGS=--threads 2"}).at("GUNICORN_CMD_ARGS") ==
          "--bind fd://3 --timeout 0 --threads 2");
    pool.command.environment["GUNICORN_CMD_ARGS"] = "--timeout 9";
    CHECK(variables(pool, by_fd, {"GUNICORN_CMD_ARGS=--threads 2"}).at("GUNICORN_CMD_ARGS") ==
          "--bind fd://3 --timeout 0 --timeout 9");
}

TEST_CASE("the user's environment wins, and what speaks to us is not passed on", "[command]") {
    config::Pool pool = pool_of(config::Kind::uvicorn);
    pool.command.environment = {
        {"WEB_CONCURRENCY", "2"}, {"PYTHONUNBUFFERED", ""}, {"UVICORN_TIMEOUT_KEEP_ALIVE", "5"}};
    const Variables got = variables(pool, by_fd, {"NOTIFY_SOCKET=/n", "LISTEN_FDS=1", "LISTEN_PID=2", "broken", "=x"});
    CHECK(got.at("WEB_CONCURRENCY") == "2");
    CHECK(got.at("PYTHONUNBUFFERED").empty());
    CHECK(got.at("UVICORN_TIMEOUT_KEEP_ALIVE") == "5");
    for (const char* name : {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "broken", ""}) CHECK(got.count(name) == 0);
}

TEST_CASE("the proxy's environment holds no secret of the workers", "[command]") {
    using Words = std::vector<std::string>;
    CHECK(proxy_environment({"PATH=/bin", "DATABASE_PASSWORD=x", "EDGEPROXY_CONFIG=y", "ASAN_OPTIONS=z", "PATHS=w"}) ==
          Words{"PATH=/bin", "EDGEPROXY_CONFIG=y", "ASAN_OPTIONS=z"});
}

}  // namespace
}  // namespace edgeproxy::master
