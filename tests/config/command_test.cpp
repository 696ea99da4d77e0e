// SPDX-License-Identifier: Apache-2.0
#include "config/command.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;
using namespace std::chrono_literals;

TEST_CASE("a command is split like a shell would", "[config][command]") {
    const auto [text, words] = GENERATE(table<std::string, Argv>({
        {"uvicorn main:app", {"uvicorn", "main:app"}},
        {"  a\t b\n c  ", {"a", "b", "c"}},
        {"a 'b c' \"d e\"", {"a", "b c", "d e"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"a '' \"\"", {"a", "", ""}},
        {"a\\ b \\' \\\"", {"a b", "'", "\""}},
        {"'\\n $HOME' \"\\$x \\\\ \\n\"", {"\\n $HOME", "$x \\ \\n"}},
        {"", {}},
    }));
    CHECK(split_command(text).value == words);
}

TEST_CASE("what a shell would wait for is refused", "[config][command]") {
    for (const char* text : {"a 'b", "a \"b", "a \\", "\"\\\""}) {
        INFO(text);
        CHECK_FALSE(split_command(text).value);
    }
}

TEST_CASE("the kind is seen through paths, python and launchers", "[config][command]") {
    const auto [text, kind] = GENERATE(table<std::string, Kind>({
        {"uvicorn main:app", Kind::uvicorn},
        {"/srv/venv/bin/gunicorn main:app", Kind::gunicorn},
        {"hypercorn main:app", Kind::hypercorn},
        {"daphne main:app", Kind::daphne},
        {"python -m uvicorn main:app", Kind::uvicorn},
        {"/usr/bin/python3.11 -u -X dev -W ignore -m gunicorn main:app", Kind::gunicorn},
        {"python -m uvicorn.main main:app", Kind::uvicorn},
        {"python main.py -m uvicorn", Kind::generic},
        {"python -c 'import x' -m uvicorn", Kind::generic},
        {"python", Kind::generic},
        {"env A=1 B=2 uvicorn main:app", Kind::uvicorn},
        {"poetry run uvicorn main:app", Kind::uvicorn},
        {"uv run --frozen python -m uvicorn main:app", Kind::uvicorn},
        {"node server.js", Kind::generic},
        {"sh -c 'uvicorn main:app'", Kind::generic},
        {"", Kind::generic},
    }));
    INFO(text);
    CHECK(kind_of(*split_command(text).value) == kind);
}

TEST_CASE("gunicorn's worker class decides how many requests it takes", "[config][command]") {
    const auto [text, variable, sync, threads] = GENERATE(table<std::string, std::string, bool, unsigned>({
        {"gunicorn main:app", "", true, 0},
        {"gunicorn -k sync main:app", "", true, 0},
        {"gunicorn --worker-class=sync main:app", "", true, 0},
        {"gunicorn --threads 1 main:app", "", true, 0},
        {"gunicorn --threads 8 main:app", "", false, 8},
        {"gunicorn -k gthread --threads=4 main:app", "", false, 4},
        {"gunicorn -k uvicorn.workers.UvicornWorker main:app", "", false, 0},
        {"gunicorn -kgevent main:app", "", false, 0},
        {"gunicorn -k gevent --threads 4 main:app", "", false, 0},
        {"gunicorn main:app", "-k gevent", false, 0},
        {"gunicorn main:app", "--threads 3", false, 3},
        {"gunicorn -k sync main:app", "-k gevent", true, 0},
    }));
    INFO(text << " with " << variable);
    const auto facts = look_at(*split_command(text).value, {{"GUNICORN_CMD_ARGS", variable}}, Kind::gunicorn);
    CHECK(facts.sync_worker == sync);
    CHECK(facts.threads.value_or(0) == threads);
}

TEST_CASE("how long the server keeps connections is read from the command, then from the environment",
          "[config][command]") {
    const auto keepalive = [](const char* text, Kind kind, Environment environment = {}) {
        return look_at(*split_command(text).value, environment, kind).keepalive;
    };
    CHECK_FALSE(keepalive("uvicorn main:app", Kind::uvicorn));
    CHECK(keepalive("uvicorn main:app --timeout-keep-alive 5", Kind::uvicorn) == Duration(5s));
    CHECK(keepalive("uvicorn main:app", Kind::uvicorn, {{"UVICORN_TIMEOUT_KEEP_ALIVE", "7"}}) == Duration(7s));
    CHECK(keepalive("gunicorn main:app --keep-alive=3", Kind::gunicorn) == Duration(3s));
    CHECK_FALSE(keepalive("uvicorn main:app --timeout-keep-alive soon", Kind::uvicorn));
}

TEST_CASE("the socket follows the placeholder, then the kind", "[config][command]") {
    const auto [text, kind, bind] = GENERATE(table<std::string, Kind, Bind>({
        {"uvicorn main:app", Kind::uvicorn, Bind::fd},
        {"gunicorn main:app", Kind::gunicorn, Bind::fd},
        {"hypercorn -b fd://{fd} main:app", Kind::hypercorn, Bind::fd},
        {"daphne main:app", Kind::daphne, Bind::unix_path},
        {"node server.js", Kind::generic, Bind::tcp},
        {"node server.js --socket={socket}", Kind::generic, Bind::unix_path},
        {"node server.js --fd {fd}", Kind::generic, Bind::fd},
        {"uvicorn --host {host} --port {port} main:app", Kind::uvicorn, Bind::tcp},
        {"uvicorn --uds {socket} main:app", Kind::uvicorn, Bind::unix_path},
    }));
    INFO(text);
    CHECK(default_bind(kind, look_at(*split_command(text).value, {}, kind)) == bind);
}

TEST_CASE("a command that fits is not complained about", "[config][command]") {
    for (const char* text :
         {"uvicorn main:app --log-level info", "uvicorn --workers 1 main:app", "uvicorn --fd {fd} main:app",
          "uvicorn --uds={socket} main:app", "gunicorn -w 1 -k uvicorn_worker.UvicornWorker main:app",
          "gunicorn --bind fd://{fd} main:app", "daphne -u {socket} --proxy-headers main:app",
          "daphne -p {port} --proxy-headers main:app", "node server.js --port 3000", "prog '{\"a\": 1}' {A}"}) {
        INFO(text);
        const Argv argv = *split_command(text).value;
        const Kind kind = kind_of(argv);
        CHECK(check_command(argv, {}, kind, default_bind(kind, look_at(argv, {}, kind))).empty());
    }
}

TEST_CASE("TLS of a worker's own is refused, since requests come to it in plain HTTP", "[config][command]") {
    for (const char* text : {"uvicorn --ssl-keyfile=k.pem --ssl-certfile c.pem main:app",
                             "gunicorn --keyfile=k.pem --certfile c.pem main:app"}) {
        INFO(text);
        const Argv argv = *split_command(text).value;
        const Kind kind = kind_of(argv);
        const auto problems = check_command(argv, {}, kind, default_bind(kind, look_at(argv, {}, kind)));
        REQUIRE(problems.size() == 2);
        for (const CommandProblem& problem : problems) CHECK(problem.hint == "take it out: write it under tls");
    }
}
