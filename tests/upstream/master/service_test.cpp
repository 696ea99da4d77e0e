// SPDX-License-Identifier: Apache-2.0
// The service manager's side of us: notifications, watchdog, passed sockets.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>

#include "support.hpp"
#include "upstream/master/inherited.hpp"
#include "upstream/master/notify.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
using Environment = std::vector<std::string>;

// A service manager's socket; `@` means the abstract namespace.
struct Manager {
    explicit Manager(std::string address_name) : name(std::move(address_name)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        name.copy(address.sun_path, sizeof(address.sun_path) - 1);
        if (name[0] == '@') address.sun_path[0] = '\0';
        fd.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    }
    std::string next() {
        std::array<char, 512> buffer{};
        const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : std::string();
    }
    std::string name;
    io::UniqueFd fd;
};

TEST_CASE("the service manager is read from the environment, and nothing is believed that makes no sense",
          "[service]") {
    const auto [environment, expected] = GENERATE(table<Environment, ServiceManager>({
        {{"NOTIFY_SOCKET=/run/n"}, {"/run/n", {}}},
        {{"NOTIFY_SOCKET=@n", "WATCHDOG_USEC=20000000"}, {"@n", 20s}},
        {{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1000", "WATCHDOG_PID=7"}, {"/run/n", 1ms}},
        {{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1000", "WATCHDOG_PID=8"}, {"/run/n", {}}},
        {{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=0"}, {"/run/n", {}}},
        {{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=-5"}, {"/run/n", {}}},
        {{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1s"}, {"/run/n", {}}},
        {{"NOTIFY_SOCKET=relative"}, {"", {}}},
        {{"NOTIFY_SOCKET=/" + std::string(200, 'x')}, {"", {}}},
        {{"NOTIFY_SOCKET="}, {"", {}}},
        {{"OTHER=1"}, {"", {}}},
    }));
    CHECK(ServiceManager::of(environment, 7) == expected);
}

TEST_CASE("messages are lines; a status stays one line", "[service]") {
    CHECK(ready_message("ready, 4 workers") == "READY=1\nSTATUS=ready, 4 workers\n");
    CHECK(ready_message("a\nMAINPID=1") == "READY=1\nSTATUS=a\n");
    CHECK(ready_message("") == "READY=1\n");
    CHECK(reloading_message(1234567us) == "RELOADING=1\nMONOTONIC_USEC=1234567\n");
    CHECK(stopping_message("bye") == "STOPPING=1\nSTATUS=bye\n");
    CHECK(status_message("x") == "STATUS=x\n");
}

TEST_CASE("the manager hears ready, reloading, stopping and each status once, by path and by abstract name",
          "[service]") {
    Scratch scratch;
    const bool abstract = GENERATE(false, true);
    Manager manager(abstract ? "@edgeproxy-test-" + std::to_string(::getpid()) : scratch.path("n"));
    boost::asio::io_context loop;
    Notifier notifier(loop, {manager.name, {}});
    CHECK_FALSE(notifier.pulse());
    notifier.ready("ready");
    CHECK(manager.next() == "READY=1\nSTATUS=ready\n");
    notifier.status("ready");
    CHECK(manager.next().empty());
    notifier.status("degraded");
    CHECK(manager.next() == "STATUS=degraded\n");
    notifier.reloading();
    CHECK(manager.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    notifier.stopping("stopping");
    CHECK(manager.next() == "STOPPING=1\nSTATUS=stopping\n");
}

TEST_CASE("a sign of life comes at once and each half of the watchdog's time", "[service]") {
    Scratch scratch;
    Manager manager(scratch.path("n"));
    boost::asio::io_context loop;
    Notifier notifier(loop, {manager.name, 40ms});
    CHECK(*notifier.pulse() == 20ms);
    for (int beats = 0; beats < 3; ++beats) {
        CHECK(within(10, [&] {
            loop.run_for(1ms);
            return manager.next() == "WATCHDOG=1\n";
        }));
    }
}

TEST_CASE("nobody to tell, or nobody who reads, costs nothing", "[service]") {
    boost::asio::io_context loop;
    Notifier alone(loop, {});
    alone.ready("ready");
    Scratch scratch;
    Notifier gone(loop, {scratch.path("nobody"), {}});
    gone.ready("ready");
    Manager full(scratch.path("full"));
    Notifier unread(loop, {full.name, {}});
    for (int i = 0; i < 5000; ++i) unread.status(std::to_string(i));
    CHECK(full.next().starts_with("STATUS=0"));
}

TEST_CASE("passed sockets are named in order, for the process that they are meant for", "[service]") {
    using Names = std::vector<PassedName>;
    const auto [environment, expected] = GENERATE(table<Environment, Names>({
        {{"LISTEN_FDS=2", "LISTEN_PID=7", "LISTEN_FDNAMES=http:https"}, {{"http", 3}, {"https", 4}}},
        {{"LISTEN_FDS=3", "LISTEN_PID=7", "LISTEN_FDNAMES=https:https"}, {{"https", 3}, {"https", 4}, {"unknown", 5}}},
        {{"LISTEN_FDS=1", "LISTEN_PID=7"}, {{"unknown", 3}}},
        {{"LISTEN_FDS=1", "LISTEN_PID=8", "LISTEN_FDNAMES=http"}, {}},
        {{"LISTEN_FDS=1", "LISTEN_FDNAMES=http"}, {}},
        {{"LISTEN_FDS=0", "LISTEN_PID=7"}, {}},
        {{"LISTEN_FDS=-1", "LISTEN_PID=7"}, {}},
        {{"LISTEN_FDS=99999999", "LISTEN_PID=7"}, {}},
        {{"LISTEN_FDS=x", "LISTEN_PID=7"}, {}},
        {{}, {}},
    }));
    CHECK(passed_names(environment, 7) == expected);
}

TEST_CASE("listening sockets are taken, everything else that was passed is refused", "[service]") {
    CHECK(in_child([] {
              ::close_range(3, ~0u, 0);
              sockaddr_un any{};
              any.sun_family = AF_UNIX;
              for (int i = 0; i < 2; ++i) {  // 3, 4: listening, by autobind names
                  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
                  if (::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(sa_family_t)) != 0) return 1;
                  if (::listen(fd, 1) != 0) return 2;
              }
              ::socket(AF_UNIX, SOCK_STREAM, 0);  // 5: does not listen
              ::open("/dev/null", O_RDONLY);      // 6: no socket; 7 is not there
              auto sockets = InheritedSockets::take(
                  {"LISTEN_FDS=5", "LISTEN_PID=" + std::to_string(::getpid()), "LISTEN_FDNAMES=a:a:b:c:d"}, ::getpid());
              if (sockets.refused() != std::vector<std::string>{"b", "c", "d"}) return 3;
              if (sockets.unclaimed() != std::vector<std::string>{"a"}) return 4;
              const auto claimed = sockets.claim("a");
              if (claimed.size() != 2 || !sockets.unclaimed().empty() || !sockets.claim("a").empty()) return 5;
              for (const io::UniqueFd& fd : claimed) {
                  if (::fcntl(fd.get(), F_GETFD) != FD_CLOEXEC) return 6;
                  if ((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0) return 7;
              }
              return ::fcntl(5, F_GETFD) == -1 && ::fcntl(6, F_GETFD) == -1 ? 0 : 8;
          }) == 0);
}

}  // namespace
}  // namespace edgeproxy::master
