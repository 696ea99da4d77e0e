// SPDX-License-Identifier: Apache-2.0
// The real servers take the sockets that they are handed, and let go of them.
#include <signal.h>

#include <catch2/catch.hpp>

#include "stage.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

constexpr const char* asgi_app = R"(
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"].split(".")[1]
            await send({"type": f"lifespan.{kind}.complete"})
            if kind == "shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})
)";

constexpr const char* wsgi_app = R"(
def app(environ, start):
    start("200 OK", [("Content-Length", "1")])
    return [b"x"]
)";

struct Server {
    const char* program;
    config::Kind kind;
    config::Bind bind;
    std::vector<std::string> arguments;
};

std::vector<Server> servers() {
    using config::Bind;
    using config::Kind;
    return {
        {"uvicorn", Kind::uvicorn, Bind::fd, {"asgi:app"}},
        {"uvicorn", Kind::uvicorn, Bind::unix_path, {"asgi:app"}},
        {"uvicorn", Kind::uvicorn, Bind::tcp, {"asgi:app"}},
        {"gunicorn", Kind::gunicorn, Bind::fd, {"wsgi:app"}},
        {"gunicorn", Kind::gunicorn, Bind::unix_path, {"wsgi:app"}},
        {"gunicorn", Kind::gunicorn, Bind::fd, {"-k", "uvicorn_worker.UvicornWorker", "asgi:app"}},
        {"hypercorn", Kind::hypercorn, Bind::fd, {"-b", "fd://{fd}", "asgi:app"}},
        {"daphne", Kind::daphne, Bind::unix_path, {"-u", "{socket}", "asgi:app"}},
    };
}

TEST_CASE("each server takes its socket, answers the parked probe, and is replaced twice over", "[servers]") {
    for (const Server& server : servers()) {
        const std::string program = python_program(server.program);
        if (program.empty()) {
            WARN("SKIPPED: no " << server.program << " in build/venv");
            continue;
        }
        INFO(server.program << " bind " << static_cast<int>(server.bind));
        Stage stage;
        write_file(stage.scratch.path("asgi.py"), asgi_app);
        write_file(stage.scratch.path("wsgi.py"), wsgi_app);
        std::vector<std::string> command{program};
        command.insert(command.end(), server.arguments.begin(), server.arguments.end());
        config::Pool& pool = stage.add_pool("app", command);
        pool.command.kind = server.kind;
        pool.command.bind = server.bind;
        stage.start();
        REQUIRE(stage.heard("ready 1 200", 60));
        // gunicorn unlinks the path of a socket that it inherited when it stops: the next incarnation has its own.
        ::kill(stage.worker(1), SIGTERM);
        REQUIRE(stage.heard("ready 2 200", 60));
        ::kill(stage.worker(2), SIGKILL);
        REQUIRE(stage.heard("ready 3 200", 60));
        const std::vector<int> below = stage.descendants();
        stage.signal(SIGTERM);
        CHECK(stage.exit_code(40) == 0);
        for (const int pid : below) CHECK_FALSE(is_running(pid));
    }
}

TEST_CASE("a Python worker that never answers says in the log which line it stands at", "[servers]") {
    const std::string program = python_program("uvicorn");
    if (program.empty()) {
        WARN("SKIPPED: no uvicorn in build/venv");
        return;
    }
    Stage stage;
    write_file(stage.scratch.path("asgi.py"), "import time\n\ndef stuck():\n    time.sleep(1000)\n\nstuck()\n");
    config::Pool& pool = stage.add_pool("app", {program, "asgi:app"});
    pool.command.kind = config::Kind::uvicorn;
    pool.start_timeout = 3s;
    stage.start();
    CHECK(stage.logged("line 4 in stuck", 40));
    CHECK(stage.exit_code(60) == 5);
}

}  // namespace
}  // namespace edgeproxy::master
