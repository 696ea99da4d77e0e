// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "support.hpp"

namespace edgeproxy::master {
namespace {

const std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin", "WHO=worker"};

ProcessRequest shell(const std::string& script) {
    ProcessRequest request;
    request.argv = {"sh", "-c", script};
    request.environment = environment;
    return request;
}

int status_of(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

// Starts it with its output into a file, waits for its end; the output.
std::string output_of(ProcessRequest request) {
    Scratch scratch;
    const io::UniqueFd out(::open(scratch.path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    request.out = request.err = out.get();
    StartFailure failure;
    const auto process = start_process(request, failure);
    REQUIRE(process.has_value());
    status_of(process->pid);
    return read_file(scratch.path("out"));
}

TEST_CASE("a started program has its own session, /dev/null for input and what was passed, nothing else", "[process]") {
    const io::UniqueFd first(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), leaked(::open("/dev/full", O_WRONLY));
    ProcessRequest request = shell("for i in 0 3 4; do readlink /proc/$$/fd/$i; done; ls -m /proc/$$/fd");
    request.argv[0] = "/bin/sh";
    request.pass = {first.get()};
    const std::string out = output_of(request);
    CHECK(out.starts_with("/dev/null\n/dev/zero\n"));
    CHECK(out.find("/dev/full") == std::string::npos);
    CHECK(out.find("0, 1, 2, 3\n") != std::string::npos);
    CHECK(out.find("4") == std::string::npos);

    const std::string ids = output_of(shell("echo $$ $(ps -o pgid=,sid= -p $$)"));
    int pid = 0, group = 0, session = 0;
    REQUIRE(std::sscanf(ids.c_str(), "%d %d %d", &pid, &group, &session) == 3);
    CHECK(pid == group);
    CHECK(pid == session);
}

TEST_CASE("descriptors are placed right, whatever numbers they had", "[process]") {
    // The sources sit where the targets are, crossed.
    const int code = in_child([] {
        const int zero = ::open("/dev/zero", O_RDONLY), full = ::open("/dev/full", O_WRONLY);
        ::dup2(full, 103);
        ::dup2(zero, 104);
        ::dup2(103, 3);
        ::dup2(104, 4);
        ProcessRequest request =
            shell("test $(readlink /proc/$$/fd/3) = /dev/zero && test $(readlink /proc/$$/fd/4) = /dev/full");
        request.pass = {4, 3};
        StartFailure failure;
        const auto process = start_process(request, failure);
        return process ? WEXITSTATUS(status_of(process->pid)) : 99;
    });
    CHECK(code == 0);
}

TEST_CASE("signals are as new: default actions, nothing blocked", "[process]") {
    const int code = in_child([] {
        ::signal(SIGPIPE, SIG_IGN);
        ::signal(SIGHUP, SIG_IGN);
        sigset_t some;
        ::sigemptyset(&some);
        ::sigaddset(&some, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &some, nullptr);
        StartFailure failure;
        const auto process = start_process(shell("grep -q 'SigIgn:\t0000000000000000' /proc/self/status && grep -q "
                                                 "'SigBlk:\t0000000000000000' /proc/self/status"),
                                           failure);
        return process ? WEXITSTATUS(status_of(process->pid)) : 99;
    });
    CHECK(code == 0);
}

TEST_CASE("the environment and the directory are those that were given", "[process]") {
    Scratch scratch;
    ProcessRequest request = shell("pwd; echo $WHO; env | grep -c CATCH");
    request.working_dir = scratch.path();
    ::setenv("CATCH", "1", 1);
    CHECK(output_of(request) == scratch.path() + "\nworker\n0\n");
}

TEST_CASE("a program is looked up in the PATH of its own environment", "[process]") {
    Scratch scratch;
    write_file(scratch.path("mine"), "#!/bin/sh\necho mine\n");
    ::chmod(scratch.path("mine").c_str(), 0755);
    ProcessRequest request;
    request.argv = {"mine"};
    request.environment = {"PATH=/nowhere:" + scratch.path()};
    CHECK(output_of(request) == "mine\n");
}

TEST_CASE("a failed start names its step and its reason", "[process]") {
    Scratch scratch;
    write_file(scratch.path("no-exec"), "");
    ProcessRequest missing = shell("true"), forbidden = shell("true"), no_folder = shell("true");
    missing.argv[0] = "no-such-program";
    forbidden.argv[0] = scratch.path("no-exec");
    no_folder.working_dir = "/no/such/folder";
    struct Row {
        ProcessRequest request;
        StartStep step;
        int error;
        std::string text;
    };
    const std::vector<Row> rows{
        {missing, StartStep::exec, ENOENT, "exec no-such-program: No such file or directory"},
        {forbidden, StartStep::exec, EACCES, "exec " + forbidden.argv[0] + ": Permission denied"},
        {no_folder, StartStep::working_dir, ENOENT, "working_dir /no/such/folder: No such file or directory"},
    };
    for (const Row& row : rows) {
        StartFailure failure;
        CHECK_FALSE(start_process(row.request, failure).has_value());
        CHECK(failure.step == row.step);
        CHECK(failure.error == row.error);
        CHECK(failure.text(row.request) == row.text);
    }
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // and leaves no zombie
}

TEST_CASE("a death signal takes the worker when its parent is killed", "[process]") {
    Scratch scratch;
    const pid_t parent = ::fork();
    if (parent == 0) {
        ProcessRequest request = shell("echo $$ > " + scratch.path("pid") + "; exec sleep 1000");
        request.death_signal = SIGTERM;
        StartFailure failure;
        start_process(request, failure);
        ::pause();
    }
    REQUIRE(within(10, [&] { return read_file(scratch.path("pid")).ends_with("\n"); }));
    const int worker = std::stoi(read_file(scratch.path("pid")));
    CHECK(is_running(worker));
    ::kill(parent, SIGKILL);
    status_of(parent);
    CHECK(within(10, [&] { return !is_running(worker); }));
}

TEST_CASE("started as root a program may run as somebody else, with nothing left of root", "[process]") {
    if (::geteuid() != 0) return;
    std::string error;
    const auto nobody = find_identity("nobody", "", error);
    REQUIRE(nobody.has_value());
    ProcessRequest request = shell("id -u; id -G; grep CapEff /proc/self/status");
    request.identity = nobody;
    CHECK(output_of(request) ==
          std::to_string(nobody->uid) + "\n" + std::to_string(nobody->gid) + "\nCapEff:\t0000000000000000\n");
    // The change of user clears a death signal that was set before: it must come after.
    Scratch scratch;
    ::chmod(scratch.path().c_str(), 0777);
    request = shell("exec sleep 1000");
    request.identity = nobody;
    request.death_signal = SIGTERM;
    const int code = in_child([&] {
        StartFailure failure;
        auto process = start_process(request, failure);
        if (!process) return 1;
        write_file(scratch.path("pid"), std::to_string(process->pid));
        return 0;
    });
    CHECK(code == 0);
    const int pid = std::stoi(read_file(scratch.path("pid")));
    CHECK(within(10, [&] { return !is_running(pid); }));
}

TEST_CASE("users and groups are found by name and by number", "[process]") {
    std::string error;
    CHECK_FALSE(find_identity("", "", error).has_value());
    CHECK(error.empty());
    CHECK(find_identity("root", "", error) == find_identity("0", "", error));
    CHECK(find_identity("root", "", error)->gid == 0);
    CHECK(find_identity("", "0", error)->uid == ::getuid());
    CHECK(find_identity("4242", "4243", error) == Identity{4242, 4243, {4243}});
    CHECK_FALSE(find_identity("no-such-user", "", error).has_value());
    CHECK(error == "there is no user \"no-such-user\"");
    error.clear();
    CHECK_FALSE(find_identity("root", "no-such-group", error).has_value());
    CHECK(error == "there is no group \"no-such-group\"");
}

TEST_CASE("an end is told as people know it", "[process]") {
    CHECK(describe_exit(3 << 8) == "exit 3");
    CHECK(describe_exit(SIGKILL) == "signal 9 (SIGKILL)");
    CHECK(signal_number("TERM") == SIGTERM);
    CHECK(signal_number("SIGINT") == SIGINT);
    CHECK(signal_number("NOPE") == 0);
}

}  // namespace
}  // namespace edgeproxy::master
