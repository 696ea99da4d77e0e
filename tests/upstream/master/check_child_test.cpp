// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/check_child.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <stdexcept>

#include "config/load.hpp"

namespace edgeproxy::master {
namespace {

Checked check(const std::function<Checked()>& load) {
    CheckChild child;
    REQUIRE(child.start(load));
    const pid_t pid = child.pid();
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK_FALSE(child.on_exit(pid + 1, status));
    auto result = child.on_exit(pid, status);
    REQUIRE(result);
    CHECK_FALSE(child.runs());
    return std::move(*result);
}

Checked plan() {
    const config::LoadResult loaded = config::load_text(
        "listen: '127.0.0.1:8080'\n"
        "app: { command: uvicorn main:app, environment: { TOKEN: 'a$$b \"c\"' } }\n",
        "stack.yaml");
    return {loaded.config, "a warning\n"};
}

TEST_CASE("a plan that a child has read is the plan, with what there is to say about it", "[check]") {
    const Checked here = plan(), there = check(plan);
    REQUIRE(here.config);
    REQUIRE(there.config);
    CHECK(*there.config == *here.config);
    CHECK(there.config->pools[0].command.environment.at("TOKEN") == "a$b \"c\"");
    CHECK(there.problems == "a warning\n");
}

TEST_CASE("errors come back, and a child that fails in any way is a refusal", "[check]") {
    const Checked errors = check([] { return Checked{nullptr, "stack.yaml:1:1: error\n"}; });
    CHECK_FALSE(errors.config);
    CHECK(errors.problems == "stack.yaml:1:1: error\n");

    const Checked thrown = check([]() -> Checked { throw std::runtime_error("no"); });
    CHECK_FALSE(thrown.config);
    CHECK(thrown.problems == "edgeproxy: the check of the file failed\n");

    const Checked killed = check([]() -> Checked {
        ::kill(::getpid(), SIGKILL);
        return {};
    });
    CHECK_FALSE(killed.config);
    CHECK(killed.problems == "edgeproxy: the check of the file ended: signal 9 (SIGKILL)\n");

    const Checked silent = check([]() -> Checked { ::_exit(0); });
    CHECK_FALSE(silent.config);
}

}  // namespace
}  // namespace edgeproxy::master
