// SPDX-License-Identifier: Apache-2.0
// A whole master with real processes: how workers are replaced, and how their number changes.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "stage.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

const std::string lasting = "exec sleep 1000";

bool in_order(const std::string& text, std::vector<std::string> words) {
    std::size_t at = 0;
    for (const std::string& word : words) {
        const std::size_t found = text.find(word, at);
        if (found == std::string::npos) {
            UNSCOPED_INFO("not in order: " << word << " in\n" << text);
            return false;
        }
        at = found + word.size();
    }
    return true;
}

// The pool never had fewer workers than it should since it had them all.
bool stayed_ok(const std::string& journal) {
    return journal.find("degraded", journal.find("pool app ok")) == std::string::npos;
}

TEST_CASE("HUP replaces the workers one after another, each new one ready before the old one drains", "[roll]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting, 2);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const int first = stage.worker(1), second = stage.worker(2);
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("pool app: 2 replaced"));
    REQUIRE(stage.heard("gone 2 "));
    CHECK(in_order(stage.journal(), {"up app 0 3 ", "ready 3", "drain 1 reload", "gone 1 signal 15", "up app 1 4 ",
                                     "ready 4", "drain 2 reload", "gone 2 signal 15"}));
    CHECK_FALSE(is_running(first));
    CHECK_FALSE(is_running(second));
    CHECK(is_running(stage.worker(3)));
    CHECK(is_running(stage.worker(4)));
    CHECK(stayed_ok(stage.journal()));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

// Starts two workers of a program that fails once the file "broken" is there; ready means having lived for a while.
struct Deploy {
    Stage stage{{"settled"}};

    explicit Deploy(unsigned surge = 1) {
        config::Pool& pool =
            stage.add_script("app", "[ -e broken ] && { echo no such module >&2; exit 3; }; exec sleep 1000", 2);
        pool.surge = surge;
        stage.start();
        REQUIRE(stage.heard("pool app ok"));
    }
    ~Deploy() {
        stage.signal(SIGTERM);
        CHECK(stage.exit_code() == 0);
    }
    void breaks() { write_file(stage.scratch.path("broken"), ""); }
    void mends() { ::unlink(stage.scratch.path("broken").c_str()); }
};

TEST_CASE("a successor that does not come up ends the roll with its story, and the old workers serve on", "[roll]") {
    Deploy deploy;
    Stage& stage = deploy.stage;
    deploy.breaks();
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("pool app: the new app-1 did not come up: exit 3 (executed in "));
    CHECK(stage.logged("no such module"));
    CHECK(is_running(stage.worker(1)));
    CHECK(is_running(stage.worker(2)));
    CHECK(stage.journal().find("drain") == std::string::npos);
    CHECK(stage.journal().find("up app 1 4") == std::string::npos);
    CHECK(stayed_ok(stage.journal()));
    deploy.mends();
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("pool app: 2 replaced"));
}

TEST_CASE("a worker that dies while its successor starts is not started twice", "[roll]") {
    Deploy deploy;
    Stage& stage = deploy.stage;
    stage.signal(SIGHUP);
    REQUIRE(stage.heard("up app 0 3 "));
    ::kill(stage.worker(1), SIGKILL);
    REQUIRE(stage.logged("pool app: 2 replaced"));
    CHECK(stage.journal().find("up app 0 4 ") == std::string::npos);
    CHECK(is_running(stage.worker(3)));
}

TEST_CASE("three HUPs in a row are one roll after the other, and end with the newest workers", "[roll]") {
    Deploy deploy;
    Stage& stage = deploy.stage;
    stage.signal(SIGHUP);
    REQUIRE(stage.heard("up app 0 3 "));
    stage.signal(SIGHUP);
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("pool app: 2 replaced"));
    CHECK(stage.worker(5) != 0);  // the one that ran, and both once more
    CHECK(stage.descendants().size() == 4);
}

TEST_CASE("with surge 0 the old one goes first, one at a time", "[roll]") {
    Deploy deploy(0);
    Stage& stage = deploy.stage;
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("pool app: 2 replaced"));
    REQUIRE(stage.heard("ready 4"));
    CHECK(in_order(stage.journal(), {"drain 1 reload", "gone 1 ", "up app 0 3 ", "ready 3", "drain 2 reload", "gone 2 ",
                                     "up app 1 4 ", "ready 4"}));
}

TEST_CASE("with surge 0 a failure costs one worker, which is tried again, and the other serves on", "[roll]") {
    Deploy deploy(0);
    Stage& stage = deploy.stage;
    deploy.breaks();
    stage.signal(SIGHUP);
    REQUIRE(stage.logged("the new app-1 did not come up: exit 3"));
    CHECK(is_running(stage.worker(2)));
    deploy.mends();
    CHECK(within(10, [&] {
        const std::string journal = stage.journal();
        return journal.find("pool app ok", journal.find("drain 1")) != std::string::npos;
    }));
}

TEST_CASE("one worker more at TTIN, one less at TTOU, never the last", "[roll]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting, 1);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGTTIN);
    REQUIRE(stage.heard("up app 1 2 "));
    stage.signal(SIGTTOU);
    REQUIRE(stage.heard("drain 2 scale"));
    REQUIRE(stage.heard("gone 2 signal 15"));
    stage.signal(SIGTTOU);
    REQUIRE(stage.logged("the last worker stays"));
    CHECK(is_running(stage.worker(1)));
    stage.signal(SIGTTIN);
    REQUIRE(stage.heard("up app 1 3 "));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a worker that has served its number of requests is replaced, its successor ready first", "[roll]") {
    Stage stage({"settled", "busy"});
    stage.add_script("app", lasting, 1).recycle = {1000, 0, 0s, 0};
    stage.start();
    REQUIRE(stage.heard("recycled 1"));
    REQUIRE(stage.heard("gone 1 "));
    CHECK(in_order(stage.journal(), {"ready 1", "up app 0 2 ", "ready 2", "drain 1 recycle", "gone 1 "}));
    CHECK(stayed_ok(stage.journal()));
    CHECK(stage.logged("app-1 is replaced: it has served its number of requests"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

}  // namespace
}  // namespace edgeproxy::master
