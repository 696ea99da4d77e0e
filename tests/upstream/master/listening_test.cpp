// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/listening.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "support.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::master {
namespace {

using Addresses = std::vector<std::string>;

TEST_CASE("addresses that are listened on are found by their inodes", "[listening]") {
    const std::string table =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0\n"
        "   1: 0100007F:1F40 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0\n"
        "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 100 0\n";
    CHECK(listening_in(table, {4711, 4712, 4713}) == Addresses{"127.0.0.1:8000", "0.0.0.0:80"});
    CHECK(listening_in(table, {4712, 1}).empty());
    const std::string six =
        "   0: 00000000000000000000000001000000:1F41 00000000000000000000000000000000:0000 0A 00000000:00000000 "
        "00:00000000 00000000     0        0 4714 1 0 100 0\n";
    CHECK(listening_in(six, {4714}) == Addresses{"[::1]:8001"});
    for (const char* broken : {"", "\n\n", "0: x y 0A 0 0 0 0 0 4711", "0: 0100:1 0 0A 0 0 0 0 0 4711", "0: :1 0 0A"})
        CHECK(listening_in(broken, {4711}).empty());
}

TEST_CASE("what a process and its children listen on is seen", "[listening]") {
    const io::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    io::SocketAddress address = loopback();
    REQUIRE(::bind(fd.get(), &address.any, address.size) == 0);
    REQUIRE(::getsockname(fd.get(), &address.any, &address.size) == 0);
    const std::string name = "127.0.0.1:" + std::to_string(address.peer().port);
    const auto seen = [&](pid_t pid) {
        const Addresses found = listening_of(pid);
        return std::find(found.begin(), found.end(), name) != found.end();
    };
    CHECK_FALSE(seen(::getpid()));
    REQUIRE(::listen(fd.get(), 8) == 0);
    CHECK(seen(::getpid()));
    const pid_t child = ::fork();
    if (child == 0) {
        for (;;) ::pause();
    }
    CHECK(seen(child));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK_FALSE(seen(child));
}

}  // namespace
}  // namespace edgeproxy::master
