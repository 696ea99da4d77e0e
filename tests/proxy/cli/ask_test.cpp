// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/ask.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "upstream/control/command.hpp"
#include "upstream/control/exit_code.hpp"

using namespace edgeproxy::cli;
using edgeproxy::control::ExitCode;

TEST_CASE("the runtime directory is seen in a file that cannot be read", "[cli]") {
    const auto [text, found] = GENERATE(table<std::string, std::string>({
        {"server:\n  runtime_dir: /run/shop\nlisten: [", "/run/shop"},
        {"server: { threads: 2, runtime_dir: '/run/a b' }\nlisten: [", "/run/a b"},
        {"server:\n  runtime_dir: \"run\"  # here\n", "run"},
        {"# runtime_dir: /no\nserver:\n  runtime_dir: /yes\n", "/yes"},
        {"x: 1\n  old_runtime_dir: /no\n", ""},
        {"server:\n  runtime_dir:\n", ""},
        {"", ""},
    }));
    CHECK(written_runtime_dir(text) == found);
}

TEST_CASE("a control socket that is named is the one", "[cli]") {
    CommandLine command;
    command.verb = Verb::status;
    command.control = "/nowhere/control.sock";
    CHECK(find_addressee(command).socket == "/nowhere/control.sock");
    std::ostringstream out, err;
    CHECK(ask(command, out, err) == ExitCode::nobody);
    CHECK(out.str().empty());
    CHECK(err.str().find("no running edgeproxy found at /nowhere/control.sock") != std::string::npos);
}

// A master that answers a stop, closes its channel and takes its time to end.
pid_t start_slow_leaver(const std::string& path) {
    int ready[2] = {-1, -1};
    REQUIRE(::pipe(ready) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
        const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) ::_exit(1);
        if (::listen(listener, 1) != 0 || ::write(ready[1], "!", 1) != 1) ::_exit(1);
        const int client = ::accept(listener, nullptr, nullptr);
        char request[512];
        if (::recv(client, request, sizeof(request), 0) <= 0) ::_exit(1);
        using edgeproxy::control::Piece;
        const std::string leaving = edgeproxy::control::encode(Piece{Piece::Kind::leaving, 0, {}});
        ::send(client, leaving.data(), leaving.size(), 0);
        ::close(client);
        ::poll(nullptr, 0, 300);
        ::_exit(0);
    }
    ::close(ready[1]);
    char byte = 0;
    CHECK(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    return pid;
}

TEST_CASE("a stop is answered when the process has ended, not when its channel has", "[cli]") {
    char folder[] = "/tmp/edgeproxy-ask-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    CommandLine command;
    command.verb = Verb::stop;
    command.control = std::string(folder) + "/control.sock";
    const pid_t master = start_slow_leaver(command.control);
    std::ostringstream out, err;
    CHECK(ask(command, out, err) == ExitCode::done);
    CHECK(err.str().empty());
    int status = 0;
    const bool ended = ::waitpid(master, &status, WNOHANG) == master;
    CHECK(ended);
    if (!ended) ::waitpid(master, &status, 0);
    ::unlink(command.control.c_str());
    ::rmdir(folder);
}
