// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/gunicorn_file.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy;
using namespace edgeproxy::cli;

namespace {

/// `warning unseen-config`, a line each.
std::string said(const std::string& command, const GunicornFile* file, bool capacity_written = false) {
    const auto argv = *config::split_command(command).value;
    std::string all;
    for (const auto& problem :
         check_gunicorn(config::look_at(argv, {}, config::Kind::gunicorn), file, capacity_written)) {
        all += std::string(config::word(problem.severity)) + " " + problem.rule + "\n";
    }
    return all;
}

const std::string note = "note forwarded-ignored\n", warning = "warning unseen-config\n";

}  // namespace

TEST_CASE("what gunicorn's own file assigns is read line by line", "[cli][gunicorn]") {
    CHECK(assigned("workers = 4\n", "workers") == "4");
    CHECK(assigned("import x\nworkers=x.cpus() * 2 + 1  # many\n", "workers") == "x.cpus() * 2 + 1");
    CHECK(assigned("workers = 4\r\nworkers = 1", "workers") == "1");
    CHECK(assigned("worker_class = 'gthread'\n", "worker_class") == "gthread");
    CHECK(assigned("worker_class = \"uvicorn_worker.UvicornWorker\"", "worker_class") ==
          "uvicorn_worker.UvicornWorker");
    for (const char* none :
         {"", "workers", "workers == 4", "# workers = 4", "  workers = 4", "workers_of = 4", "x = 4"}) {
        INFO(none);
        CHECK_FALSE(assigned(none, "workers"));
    }
}

TEST_CASE("what gunicorn reads by itself is warned of where it matters", "[cli][gunicorn]") {
    const auto [text, asked, command, expected] = GENERATE(table<std::string, bool, std::string, std::string>({
        {"", false, "gunicorn -k asgi main:app", ""},
        {"workers = 4\n", false, "gunicorn -k asgi main:app", warning},
        {"workers = 4\n", true, "gunicorn -c c.py -k asgi main:app", warning},
        {"workers = 1\n", false, "gunicorn -k asgi main:app", ""},
        {"worker_class = 'asgi'\n", false, "gunicorn main:app", warning},
        {"worker_class = 'gthread'\n", false, "gunicorn main:app", warning + note},
        {"threads = 4\n", false, "gunicorn main:app", warning + note},
        {"threads = 4\n", false, "gunicorn --threads 4 main:app", note},
        {"worker_class = 'asgi'\n", true, "gunicorn -c c.py main:app", ""},
        {"worker_class = 'gevent'\n", true, "gunicorn -c c.py main:app", note},
    }));
    CAPTURE(text, asked, command);
    const GunicornFile file{"gunicorn.conf.py", text, asked};
    CHECK(said(command, &file) == expected);
}

TEST_CASE("a pool that says how much a worker takes needs no worker class", "[cli][gunicorn]") {
    const GunicornFile file{"gunicorn.conf.py", "worker_class = 'asgi'\n", false};
    CHECK(said("gunicorn main:app", &file, true) == "");
}

TEST_CASE("only a worker of WSGI leaves out the client's address", "[cli][gunicorn]") {
    const auto [command, expected] = GENERATE(table<std::string, std::string>({
        {"gunicorn main:app", note},
        {"gunicorn --threads 8 main:app", note},
        {"gunicorn -k gevent main:app", note},
        {"gunicorn -k uvicorn_worker.UvicornWorker main:app", ""},
        {"gunicorn -k asgi main:app", ""},
        {"gunicorn -c python:settings main:app", ""},
        {"gunicorn -c python:settings -k sync main:app", note},
    }));
    CAPTURE(command);
    CHECK(said(command, nullptr) == expected);
}
