// SPDX-License-Identifier: Apache-2.0
// A whole master with real processes: what happens to workers, and to us.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "stage.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

const std::string lasting = "exec sleep 1000";

bool can_bind(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    const io::SocketAddress address = loopback(static_cast<std::uint16_t>(port));
    const bool bound = ::bind(fd, &address.any, address.size) == 0;
    ::close(fd);
    return bound;
}

int port_of(const Stage& stage) {
    const std::string journal = stage.journal();
    return std::atoi(journal.c_str() + journal.find("listener http ") + 14);
}

TEST_CASE("the proxy is told everything in order, the workers come, TERM ends it all with exit code 0", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting, 2);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    CHECK(stage.logged("ready: 1 of 1 managed pools can serve"));
    const std::string journal = stage.journal();
    std::size_t last = 0;
    for (const char* word : {"proxy ", "hello", "log_files", "listener http ", "config 1", "up app 0 1 ", "ready 1 "}) {
        const std::size_t at = journal.find(word);
        INFO(word);
        CHECK(at != std::string::npos);
        CHECK(at >= last);
        last = at;
    }
    CHECK(journal.find("up app 1 2 ") != std::string::npos);
    const std::vector<int> below = stage.descendants();
    CHECK(below.size() == 4);  // guard, proxy, two workers
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
    for (const int pid : below) CHECK_FALSE(is_running(pid));
    const std::string end = stage.journal();
    CHECK(end.find("drain_all") < end.find("listeners_closed"));
    CHECK(end.find("listeners_closed") < end.find("gone 1 signal 15 (SIGTERM)"));
    CHECK(end.find("gone 2 ") < end.find("\nend\n"));
    CHECK(can_bind(port_of(stage)));
    CHECK(read_file(stage.scratch.path("config")).find("sleep 1000") == std::string::npos);
    CHECK(::access(stage.scratch.path("run/" + std::to_string(stage.pid())).c_str(), F_OK) != 0);
}

TEST_CASE("a killed worker is buried with its children, told, and replaced at once", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", "sleep 1000 & (setsid sleep 1001 &); wait");
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const int worker = stage.worker(1);
    REQUIRE(within(10, [&] { return descendants_of(worker).size() == 1; }));
    const int child = descendants_of(worker).front();
    ::kill(worker, SIGKILL);
    REQUIRE(stage.heard("up app 0 2 "));
    CHECK(stage.journal().find("gone 1 signal 9 (SIGKILL)") < stage.journal().find("up app 0 2 "));
    CHECK(within(10, [&] { return !is_running(child); }));
    CHECK(stage.heard("usage 0 rss some crashes 1"));
    CHECK(stage.logged("app-1 ended: signal 9 (SIGKILL)"));
    // The one that left its group is ours now, and goes at the end.
    const std::vector<int> below = stage.descendants();
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
    for (const int pid : below) CHECK_FALSE(is_running(pid));
}

TEST_CASE("a required pool that does not come up in three tries ends the program with its last words", "[house]") {
    Stage stage;
    stage.add_script("app", "echo the reason is here >&2; exit 3");
    stage.start();
    CHECK(stage.exit_code() == 5);
    CHECK(count_in(stage.scratch.path("log"), "app-1 ended: exit 3") == 3);
    CHECK(stage.log().find("pool app did not come up after 3 tries: app-1: exit 3\n    command: /bin/sh -c ") !=
          std::string::npos);
    CHECK(stage.log().find("\n    the reason is here\n") != std::string::npos);
    CHECK(stage.journal().find("last the reason is here") != std::string::npos);
    const std::string journal = stage.journal();  // to the proxy it is no death of its master
    const std::size_t drained = journal.find("drain_all\nlisteners_closed\n");
    REQUIRE(drained != std::string::npos);
    CHECK(journal.find("end\n", drained) != std::string::npos);
}

TEST_CASE("a command that does not exist is named, and is a failed start", "[house]") {
    Stage stage;
    stage.add_pool("app", {"no-such-program", "--flag"});
    stage.start();
    CHECK(stage.exit_code() == 5);
    CHECK(stage.log().find("app-1 cannot be started: exec no-such-program: No such file or directory") !=
          std::string::npos);
}

TEST_CASE("a worker that never answers is made to tell where it stands and counts as a failed start", "[house]") {
    Stage stage;
    stage.add_script("app", "trap 'echo standing here >&2; exit 6' ABRT; while :; do sleep 0.01; done").start_timeout =
        200ms;
    stage.start();
    CHECK(stage.exit_code() == 5);
    CHECK(stage.log().find("standing here") != std::string::npos);
    CHECK(stage.log().find("ended after its start took too long: exit 6") != std::string::npos);
}

TEST_CASE("a pool that is not required, or was ready once, goes on trying", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting);
    config::Pool& extra = stage.add_pool("extra", {"/no/such/program"});
    extra.required = false;
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    REQUIRE(stage.heard("pool extra crash_looping"));
    CHECK(is_running(stage.pid()));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a worker that dies again and again makes its pool loop, and it recovers", "[house]") {
    Stage stage;
    config::Pool& pool = stage.add_pool("app", {"/usr/bin/env", "node", "-e",
                                                "require('http').createServer((q, a) => a.end('x'))"
                                                ".listen(process.env.PORT, '127.0.0.1')"});
    pool.command.bind = config::Bind::tcp;
    pool.restart = {10ms, 50ms, 3, 60s};
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    for (int incarnation = 1; incarnation <= 3; ++incarnation) {
        REQUIRE(stage.heard("ready " + std::to_string(incarnation) + " 200"));
        ::kill(stage.worker(incarnation), SIGKILL);
    }
    CHECK(stage.heard("pool app crash_looping app-1: signal 9 (SIGKILL)"));
    CHECK(stage.heard("ready 4 200"));
    CHECK(within(10, [&] {
        const std::string now = stage.journal();
        return now.find("pool app ok", now.find("crash_looping")) != std::string::npos;
    }));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a worker that ignores TERM is killed when its grace is over, and the end is still an orderly one",
          "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", "trap '' TERM; touch trapped; while :; do sleep 0.01; done").stop_grace_period = 300ms;
    stage.start();
    REQUIRE(within(10, [&] { return ::access(stage.scratch.path("trapped").c_str(), F_OK) == 0; }));
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
    CHECK(stage.heard("gone 1 signal 9 (SIGKILL)"));
}

TEST_CASE("when the grace period is over everything is ended, with exit code 8", "[house]") {
    Stage stage({"at-once", "never-drained"});
    stage.add_script("app", "trap '' TERM; touch trapped; while :; do sleep 0.01; done").stop_grace_period = 60s;
    stage.config.server.shutdown.grace_period = 500ms;
    stage.start();
    REQUIRE(within(10, [&] { return ::access(stage.scratch.path("trapped").c_str(), F_OK) == 0; }));
    REQUIRE(stage.heard("pool app ok"));
    const std::vector<int> below = stage.descendants();
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 8);
    CHECK(stage.logged("the grace period ran out"));
    for (const int pid : below) CHECK(within(10, [&] { return !is_running(pid); }));
}

TEST_CASE("requests that were cut at the end are told by exit code 8", "[house]") {
    Stage stage({"at-once", "cuts"});
    stage.add_script("app", lasting);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 8);
    CHECK(stage.log().find("3 requests were cut") != std::string::npos);
}

TEST_CASE("a proxy that dies in the middle of the drain does not hold up the end", "[house]") {
    Stage stage({"at-once", "never-drained"});
    stage.add_script("app", lasting);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGTERM);
    REQUIRE(stage.heard("listeners_closed"));
    ::kill(stage.proxy(), SIGKILL);
    CHECK(stage.exit_code() == 8);
    CHECK(stage.log().find("ended before it had drained: signal 9") != std::string::npos);
}

TEST_CASE("told to stop before the proxy was ready, it just stops", "[house]") {
    Stage stage({"never-ready"});
    stage.start();
    REQUIRE(stage.heard("config 1"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("an ill worker is drained before it is stopped, and replaced for its health", "[house]") {
    Stage stage({"at-once", "ill"});
    stage.add_script("app", lasting);
    stage.start();
    REQUIRE(stage.logged("app-1 is unhealthy: timeout"));
    REQUIRE(stage.heard("drain 1 health"));
    REQUIRE(stage.heard("up app 0 2 "));
    CHECK(stage.logged("ended since it stayed unhealthy"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a second INT ends everything at once", "[house]") {
    Stage stage({"at-once", "never-drained"});
    stage.add_script("app", lasting);
    stage.config.server.shutdown.grace_period = 600s;
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGINT);
    REQUIRE(stage.heard("listeners_closed"));
    CHECK(is_running(stage.worker(1)));
    stage.signal(SIGINT);
    CHECK(stage.exit_code() == 8);
    CHECK_FALSE(is_running(stage.worker(1)));
}

TEST_CASE("during the delay of a stop it still accepts", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting);
    stage.config.server.shutdown.delay = 1s;
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    stage.signal(SIGQUIT);
    REQUIRE(stage.heard("drain_all"));
    CHECK(stage.journal().find("listeners_closed") == std::string::npos);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a killed proxy is replaced and told of the workers, who do not notice", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting, 2);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const int first = stage.proxy(), port = port_of(stage);
    ::kill(first, SIGKILL);
    REQUIRE(stage.heard("up app 1 2 " + std::to_string(stage.worker(2)) + " held replayed"));
    CHECK(stage.proxy() != first);
    CHECK(count_in(stage.scratch.path("journal"), "listener http " + std::to_string(port)) == 2);
    CHECK(is_running(stage.worker(1)));
    ::kill(stage.proxy(), SIGKILL);
    CHECK(within(10, [&] { return count_in(stage.scratch.path("journal"), "proxy ") == 3; }));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("workers are started though somebody has removed the runtime directory", "[house]") {
    const bool whole = GENERATE(false, true);
    Stage stage({"at-once"});
    stage.add_script("app", lasting);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    std::filesystem::remove_all(stage.scratch.path(whole ? "run" : "run/" + std::to_string(stage.pid())));
    ::kill(stage.worker(1), SIGKILL);
    REQUIRE(stage.heard("ready 2"));
    CHECK(stage.logged("was removed by somebody; made again"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a killed master leaves nothing behind, and its port is free", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", "sleep 1000 & wait", 2);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const std::vector<int> below = stage.descendants();
    CHECK(below.size() >= 4);
    stage.signal(SIGKILL);
    CHECK(stage.exit_code() == 128 + SIGKILL);
    for (const int pid : below) CHECK(within(12, [&] { return !is_running(pid); }));
    CHECK(can_bind(port_of(stage)));

    Stage next({"at-once"});
    next.config.server.runtime_dir = stage.config.server.runtime_dir;
    next.start();
    CHECK(next.logged("proxy_ready"));
    // What the killed one left there is swept.
    CHECK(::access(stage.scratch.path("run/" + std::to_string(stage.pid())).c_str(), F_OK) != 0);
    next.signal(SIGTERM);
    CHECK(next.exit_code() == 0);
}

TEST_CASE("a proxy that refuses the configuration ends the start with exit code 3 and its reason", "[house]") {
    Stage stage({"refuse"});
    stage.add_script("app", "touch started");
    stage.start();
    CHECK(stage.exit_code() == 3);
    CHECK(stage.log().find("no certificate fits") != std::string::npos);
    CHECK(::access(stage.scratch.path("started").c_str(), F_OK) != 0);
}

TEST_CASE("a proxy that ends before it was ever ready ends the start", "[house]") {
    Stage stage({"die-early"});
    stage.start();
    CHECK(stage.exit_code() == 1);
    CHECK(stage.log().find("ended before it was ready: exit 9") != std::string::npos);
}

TEST_CASE("a port in use ends the start with exit code 4 before anything runs", "[house]") {
    Stage first({"at-once"});
    first.start();
    REQUIRE(first.heard("config 1"));
    Stage second({"at-once"});
    second.config.listeners[0].addresses[0].port = static_cast<std::uint16_t>(port_of(first));
    second.start();
    CHECK(second.exit_code() == 4);
    CHECK(second.log().find("in use by ") != std::string::npos);
    CHECK(second.journal().empty());
    first.signal(SIGTERM);
    CHECK(first.exit_code() == 0);
}

TEST_CASE("two masters do not share a runtime directory, unless they need none", "[house]") {
    Stage first({"at-once"});
    first.add_script("app", lasting);
    first.start();
    REQUIRE(first.heard("pool app ok"));
    Stage second({"at-once"});
    second.config.server.runtime_dir = first.config.server.runtime_dir;
    second.start();  // no managed pool: goes on without
    CHECK(second.heard("config 1"));
    CHECK(second.logged("going on without it"));
    second.signal(SIGTERM);
    CHECK(second.exit_code() == 0);
    Stage third({"at-once"});
    third.config.server.runtime_dir = first.config.server.runtime_dir;
    third.add_script("app", lasting);
    third.start();
    CHECK(third.exit_code() == 4);
    CHECK(third.log().find("(pid " + std::to_string(first.pid()) + ")") != std::string::npos);
    first.signal(SIGTERM);
    CHECK(first.exit_code() == 0);
}

TEST_CASE("a worker that floods its log is never stopped by it, and its last line is there", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", "yes a-line-of-the-log | head -c 3000000; echo the-last-line; exec sleep 1000");
    stage.start();
    CHECK(stage.logged("the-last-line", 30));
    REQUIRE(stage.heard("up app 0 1 "));
    CHECK(stage.logged("[app-1 " + std::to_string(stage.worker(1)) + "] a-line-of-the-log"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a hung worker is aborted, so that it tells where it stands, and replaced", "[house]") {
    Stage stage({"at-once", "hang"});
    stage.add_script("app", "trap 'echo standing here >&2; exit 6' ABRT; touch trapped; while :; do sleep 0.01; done");
    stage.start();
    REQUIRE(within(10, [&] { return ::access(stage.scratch.path("trapped").c_str(), F_OK) == 0; }));
    REQUIRE(stage.heard("pool app ok"));
    write_file(stage.scratch.path("journal.hang"), "");
    REQUIRE(stage.heard("up app 0 2 "));
    CHECK(stage.logged("standing here"));
    CHECK(stage.logged("ended since it hung: exit 6"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a hung worker whose files somebody is editing is left alone", "[house]") {
    Stage stage({"at-once", "hang"});
    stage.add_script("app", lasting).command.watch = {"*.py"};
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    write_file(stage.scratch.path("journal.hang"), "");
    REQUIRE(stage.logged("app-1 looks hung, but its files are watched: left alone"));
    CHECK(is_running(stage.worker(1)));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("log files are opened again at USR1, by master and proxy", "[house]") {
    Stage stage({"at-once"});
    stage.start();
    REQUIRE(stage.heard("config 1"));
    REQUIRE(stage.logged("proxy_ready"));
    REQUIRE(::rename(stage.scratch.path("log").c_str(), stage.scratch.path("log.1").c_str()) == 0);
    stage.signal(SIGUSR1);
    CHECK(stage.logged("log files reopened"));
    CHECK(within(10, [&] { return count_in(stage.scratch.path("journal"), "log_files") == 2; }));
    for (const int number : {SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}) stage.signal(number);
    CHECK(stage.logged("there is no pool with workers to change"));
    CHECK(stage.logged("upgrade refused: server.upgrade is off"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("how many lines of its log a full disk has cost is told when it takes lines again", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting);
    REQUIRE(::symlink("/dev/full", stage.scratch.path("log").c_str()) == 0);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    ::unlink(stage.scratch.path("log").c_str());
    stage.signal(SIGUSR1);
    CHECK(stage.logged(" of this log could not be written and are lost"));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("the master has one thread, no core dump, and little right", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", "ulimit -c > core; exec sleep 1000");
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const std::string proc = "/proc/" + std::to_string(stage.pid());
    const std::string status = read_file(proc + "/status");
    CHECK(status.find("Threads:\t1\n") != std::string::npos);
    CHECK(read_file(proc + "/limits").find("Max core file size        0 ") != std::string::npos);
    if (::geteuid() == 0) {
        // CHOWN 0, DAC_READ_SEARCH 2, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
        CHECK(status.find("CapEff:\t00000000000004e5\n") != std::string::npos);
    }
    CHECK(within(10, [&] { return !read_file(stage.scratch.path("core")).empty(); }));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

TEST_CASE("a guard that dies is replaced", "[house]") {
    Stage stage({"at-once"});
    stage.add_script("app", lasting);
    stage.start();
    REQUIRE(stage.heard("pool app ok"));
    const std::vector<int> below = stage.descendants();
    const auto guard = std::find_if(below.begin(), below.end(), [](int pid) {
        return read_file("/proc/" + std::to_string(pid) + "/comm") == "edgeproxy-guard\n";
    });
    REQUIRE(guard != below.end());
    ::kill(*guard, SIGKILL);
    CHECK(stage.logged("starting another"));
    CHECK(within(10, [&] { return stage.descendants().size() == below.size(); }));
    stage.signal(SIGTERM);
    CHECK(stage.exit_code() == 0);
}

}  // namespace
}  // namespace edgeproxy::master
