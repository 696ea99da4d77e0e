// SPDX-License-Identifier: Apache-2.0
// dev and run: their words, and the stack.yaml that they stand for.
#include "proxy/cli/dev.hpp"

#include <catch2/catch.hpp>

#include "config/load.hpp"
#include "proxy/cli/arguments.hpp"
#include "proxy/cli/run.hpp"

using namespace edgeproxy;
using namespace edgeproxy::cli;

namespace {

using Words = std::vector<std::string>;

config::Config plan(const std::string& text) {
    config::LoadOptions options;
    options.base_dir = "/srv/app";
    options.uid = 0;
    auto loaded = config::load_text(text, "text", options);
    INFO(text);
    std::string problems;
    for (const auto& problem : loaded.problems) problems += problem.text + "\n";
    INFO(problems);
    REQUIRE(loaded.config);
    CHECK(problems.empty());
    return *loaded.config;
}

const DevPlace place{"/srv/my app", "/run/dev", true, true};

}  // namespace

TEST_CASE("dev understands its words", "[cli][dev]") {
    const auto [words, expected] = GENERATE(table<Words, DevOptions>({
        {{}, {}},
        {{"main:app"}, {.target = "main:app"}},
        {{"main:app", "--port", "9000", "--no-tls"}, {.target = "main:app", .port = 9000, .tls = false}},
        {{"--port=9000", "-w", "2", "main:app"}, {.target = "main:app", .port = 9000, .workers = 2}},
        {{"--host", "0.0.0.0", "--print-config"}, {.host = "0.0.0.0", .print_config = true}},
        {{"--watch", "*.py", "--watch=*.html"}, {.patterns = {"*.py", "*.html"}}},
        {{"--", "node", "--port", "1"}, {.command = {"node", "--port", "1"}}},
        {{"--help"}, {.help = true}},
    }));
    const ParsedDev parsed = parse_dev(words);
    CHECK(parsed.complaint.empty());
    CHECK(parsed.options == expected);
}

TEST_CASE("dev and run say what they do not understand", "[cli][dev]") {
    const auto [verb, words, complaint] = GENERATE(table<std::string, Words, std::string>({
        {"dev", {"--nonsense"}, "unknown option \"--nonsense\" of dev"},
        {"dev", {"a:b", "c:d"}, "unexpected argument \"c:d\""},
        {"dev", {"a:b", "--", "node"}, "an application and a command were named"},
        {"dev", {"--port"}, "option \"--port\" needs a value"},
        {"dev", {"--port", "--", "node"}, "option \"--port\" needs a value"},
        {"dev", {"--port", "70000"}, "\"70000\" is no value of \"--port\""},
        {"dev", {"--no-tls=yes"}, "option \"--no-tls\" takes no value"},
        {"run", {}, "run needs a command"},
        {"run", {"uvicorn"}, "unexpected argument \"uvicorn\""},
        {"run", {"-w", "many", "--", "x"}, "\"many\" is no number of workers"},
        {"run", {"--tls", "yes", "--", "x"}, "\"yes\" is no value of \"--tls\""},
        {"run", {"--cert", "a", "--", "x"}, "--cert and --key belong together"},
        {"run", {"--tls", "dev", "--cert", "a", "--key", "b", "--", "x"}, "write either --tls dev or --cert and --key"},
    }));
    CHECK((verb == "dev" ? parse_dev(words).complaint : parse_run(words).complaint) == complaint);
}

TEST_CASE("dev is one address with TLS, workers that follow the files, and pages with their last lines", "[cli][dev]") {
    const config::Config config = plan(dev_stack({}, {"uvicorn", "main:app"}, place));
    REQUIRE(config.listeners.size() == 2);
    CHECK(config.listeners[0].addresses[0].to_string() == "localhost:8443");
    CHECK(config.listeners[0].tls);
    CHECK(config.listeners[0].protocols.front() == config::Protocol::h2);
    CHECK(config.listeners[1].addresses[0].to_string() == "localhost:8080");
    CHECK(config.listeners[1].redirect_https);
    CHECK(config.listeners[1].redirect_port == 8443);
    CHECK(config.tls.dev);
    CHECK(config.error_pages.details);
    const config::Pool& pool = config.pools.at(0);
    CHECK(pool.command.argv == Words{"uvicorn", "main:app"});
    CHECK(pool.command.working_dir == "/srv/my app");
    CHECK(pool.command.watch == Words{"**/*.py"});
    CHECK(pool.workers == 1);
    CHECK_FALSE(pool.required);
    CHECK(config.routes.at(0).pool == "app");
}

TEST_CASE("dev without TLS, on taken ports, with odd words is still a valid plan", "[cli][dev]") {
    DevOptions options;
    options.tls = false;
    options.host = "::1";
    options.patterns = {"**/*.py", "a b/*.html"};
    const config::Config config =
        plan(dev_stack(options, {"sh", "-c", "echo \"$HOME: [x]\" # no"}, {"/srv", "/run/dev", true, false}));
    REQUIRE(config.listeners.size() == 1);
    CHECK(config.listeners[0].addresses[0].to_string() == "[::1]:8080");
    CHECK_FALSE(config.listeners[0].tls);
    CHECK_FALSE(config.metrics.enabled);
    CHECK(config.pools.at(0).command.argv.at(2) == "echo \"$HOME: [x]\" # no");
    CHECK(config.pools.at(0).command.watch == options.patterns);
}

TEST_CASE("run is a plan for production without a file", "[cli][run]") {
    const auto parsed = parse_run(Words{"-w", "4", "--listen", ":8443", "--tls", "dev", "--health", "/healthz",
                                        "--metrics", "off", "--", "uvicorn", "main:app"});
    REQUIRE(parsed.complaint.empty());
    const config::Config config = plan(run_stack(parsed.options, "/srv"));
    CHECK(config.listeners.at(0).addresses[0].port == 8443);
    CHECK(config.tls.dev);
    CHECK(config.pools.at(0).workers == 4);
    CHECK(config.pools[0].health.path == "/healthz");
    CHECK(config.pools[0].command.watch.empty());
    CHECK(config.pools[0].required);
    CHECK_FALSE(config.metrics.enabled);

    const config::Config plain = plan(run_stack(parse_run(Words{"--", "node", "x.js"}).options, "/srv"));
    CHECK(plain.listeners.at(0).addresses[0].to_string() == ":8080");
    CHECK(plain.pools.at(0).workers == 1);
    CHECK(plain.pools[0].command.working_dir == "/srv");

    const auto second = parse_run(Words{"--runtime-dir", "/run/second", "--", "node", "x.js"});
    CHECK(plan(run_stack(second.options, "/srv")).server.runtime_dir == "/run/second");
}

TEST_CASE("the help of dev and run fits a screen", "[cli][dev]") {
    for (const std::string_view help : {dev_help, run_help}) {
        CHECK(std::count(help.begin(), help.end(), '\n') <= 24);
        for (std::size_t at = 0; at < help.size();) {
            const auto end = help.find('\n', at);
            CHECK(end - at <= 84);
            at = end + 1;
        }
    }
}
