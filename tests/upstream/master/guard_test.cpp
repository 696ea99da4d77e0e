// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "support.hpp"
#include "upstream/master/process.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

// Starts a shell script that writes its pid into a file; the pid.
pid_t start_script(const std::string& script) {
    ProcessRequest request;
    request.argv = {"/bin/sh", "-c", script};
    request.environment = {"PATH=/usr/bin:/bin"};
    StartFailure failure;
    const auto process = start_process(request, failure);
    return process ? process->pid : -1;
}

struct Pids {
    int guard = 0, polite = 0, stubborn = 0, proxy = 0;
};

// A master that starts a guard, a worker that goes at TERM, one that does not, and a "proxy"; then it writes their pids
// and waits.
pid_t start_master(const Scratch& scratch, const std::string& proxy_script) {
    const pid_t master = ::fork();
    if (master != 0) return master;
    Guard guard;
    if (!guard.start({1000ms, 2000ms})) ::_exit(1);
    Pids pids;
    pids.guard = guard.pid();
    pids.polite = start_script("sleep 1000 & wait");
    pids.stubborn = start_script("trap '' TERM; touch " + scratch.path("trapped") + "; while :; do sleep 1; done");
    pids.proxy = start_script(proxy_script);
    guard.add(pids.polite);
    guard.add(pids.stubborn);
    guard.proxy(pids.proxy, true);
    const pid_t gone = start_script("exec sleep 1000");  // taken off the list: it is somebody else's by then
    guard.add(gone);
    guard.remove(gone);
    write_file(scratch.path("gone"), std::to_string(gone));
    write_file(scratch.path("part"), std::to_string(pids.guard) + " " + std::to_string(pids.polite) + " " +
                                         std::to_string(pids.stubborn) + " " + std::to_string(pids.proxy));
    ::rename(scratch.path("part").c_str(), scratch.path("pids").c_str());
    for (;;) ::pause();
}

Pids read_pids(const Scratch& scratch) {
    Pids pids;
    REQUIRE(within(10, [&] {
        return std::sscanf(read_file(scratch.path("pids")).c_str(), "%d %d %d %d", &pids.guard, &pids.polite,
                           &pids.stubborn, &pids.proxy) == 4 &&
               ::access(scratch.path("trapped").c_str(), F_OK) == 0;
    }));
    return pids;
}

void kill_and_reap(pid_t pid) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

TEST_CASE("after a killed master the guard lets the proxy finish, then ends every group", "[guard]") {
    Scratch scratch;
    const pid_t master = start_master(scratch, "while ! test -e " + scratch.path("finish") + "; do sleep 0.01; done");
    const Pids pids = read_pids(scratch);
    kill_and_reap(master);
    CHECK(is_running(pids.polite));  // the proxy is not done yet
    write_file(scratch.path("finish"), "");
    CHECK(within(10, [&] { return !is_running(pids.polite); }));
    CHECK(within(10, [&] { return !is_running(pids.stubborn); }));  // KILL
    CHECK(within(10, [&] { return !is_running(pids.guard); }));
    const int gone = std::stoi(read_file(scratch.path("gone")));
    CHECK(is_running(gone));
    ::kill(gone, SIGKILL);
}

// How often a process has gone to sleep.
long voluntary_switches(pid_t pid) {
    constexpr std::string_view name = "\nvoluntary_ctxt_switches:";
    const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
    const std::size_t at = status.find(name);
    return at == std::string::npos ? 0 : std::atol(status.c_str() + at + name.size());
}

// A process that leaves its group, which ends with that, and makes one of the same number again later: what somebody
// else's group would be that was given the number meanwhile. Each step waits for its file and tells it by another.
void wander(const Scratch& scratch, pid_t outer) {
    ::close_range(3, ~0u, 0);  // the guard's pipe too: its end of file is the master's end
    const auto await = [&](const char* name) {
        while (::access(scratch.path(name).c_str(), F_OK) != 0) ::usleep(1000);
    };
    ::setpgid(0, 0);
    await("leave");
    ::setpgid(0, outer);
    write_file(scratch.path("left"), "");
    await("return");
    ::setpgid(0, 0);
    write_file(scratch.path("returned"), "");
    for (;;) ::pause();
}

TEST_CASE("a group that ends while the guard waits is not signalled when its number is used again", "[guard]") {
    Scratch scratch;
    const pid_t outer = ::getpgrp(), master = ::fork();
    if (master == 0) {
        Guard guard;
        if (!guard.start({20s, 20s})) ::_exit(1);
        const pid_t wanderer = ::fork();
        if (wanderer == 0) wander(scratch, outer);
        ::setpgid(wanderer, wanderer);
        guard.add(wanderer);
        guard.proxy(start_script("while ! test -e " + scratch.path("finish") + "; do sleep 0.01; done"), true);
        write_file(scratch.path("part"), std::to_string(guard.pid()) + " " + std::to_string(wanderer));
        ::rename(scratch.path("part").c_str(), scratch.path("pids").c_str());
        for (;;) ::pause();
    }
    int guard = 0, wanderer = 0;
    REQUIRE(within(
        10, [&] { return std::sscanf(read_file(scratch.path("pids")).c_str(), "%d %d", &guard, &wanderer) == 2; }));
    kill_and_reap(master);
    const auto exists = [&](const char* name) { return ::access(scratch.path(name).c_str(), F_OK) == 0; };
    write_file(scratch.path("leave"), "");
    REQUIRE(within(10, [&] { return exists("left"); }));
    const auto sleeps = [&] { return voluntary_switches(guard); };
    const long before = sleeps();
    REQUIRE(within(10, [&] { return sleeps() >= before + 3; }));  // it has looked in between
    write_file(scratch.path("return"), "");
    REQUIRE(within(10, [&] { return exists("returned"); }));
    write_file(scratch.path("finish"), "");
    CHECK(within(10, [&] { return !is_running(guard); }));
    CHECK(is_running(wanderer));
    ::kill(wanderer, SIGKILL);
}

TEST_CASE("a proxy that does not finish is not waited for without end", "[guard]") {
    Scratch scratch;
    const pid_t master = start_master(scratch, "exec sleep 1000");
    const Pids pids = read_pids(scratch);
    kill_and_reap(master);
    for (const int pid : {pids.polite, pids.stubborn, pids.proxy, pids.guard}) {
        CHECK(within(10, [&] { return !is_running(pid); }));
    }
    ::kill(std::stoi(read_file(scratch.path("gone"))), SIGKILL);
}

TEST_CASE("a guard holds nothing of its master's, not even its output", "[guard]") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    Guard guard;
    REQUIRE(guard.start());
    ::close(ends[1]);
    char byte = 0;
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    // End of file as soon as the guard has closed its copy of the other end.
    CHECK(within(10, [&] { return ::read(ends[0], &byte, 1) == 0; }));
    ::close(ends[0]);
    const pid_t pid = guard.pid();
    guard.stop();
    CHECK_FALSE(is_running(pid));
}

TEST_CASE("a guard that is killed is replaced and knows everything again", "[guard]") {
    Scratch scratch;
    const pid_t master = ::fork();
    if (master == 0) {
        Guard guard;
        guard.start({100ms, 5000ms});
        const pid_t worker = start_script("exec sleep 1000");
        guard.add(worker);
        kill_and_reap(guard.pid());
        guard.restart();
        write_file(scratch.path("part"), std::to_string(worker));
        ::rename(scratch.path("part").c_str(), scratch.path("pid").c_str());
        for (;;) ::pause();
    }
    REQUIRE(within(10, [&] { return !read_file(scratch.path("pid")).empty(); }));
    const int worker = std::stoi(read_file(scratch.path("pid")));
    kill_and_reap(master);
    CHECK(within(10, [&] { return !is_running(worker); }));
}

TEST_CASE("a guard that cannot be started again leaves no number behind", "[guard]") {
    const int code = in_child([] {
        Guard guard;
        if (!guard.start({100ms, 5000ms})) return 1;
        kill_and_reap(guard.pid());
        const rlimit none{0, 0};  // no pipe can be made
        if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 2;
        if (guard.restart()) return 3;
        return guard.pid() == -1 && guard.pipe() == -1 ? 0 : 4;
    });
    CHECK(code == 0);
}

}  // namespace
}  // namespace edgeproxy::master
