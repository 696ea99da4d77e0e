// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/channel.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "samples.hpp"

namespace edgeproxy::control {
namespace {

struct Ends {
    Channel left, right;
};

Ends make_ends() {
    auto pair = make_pair();
    REQUIRE(pair.has_value());
    return {std::move(pair->first), Channel(std::move(pair->second))};
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    DIR* folder = ::opendir("/proc/self/fd");
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
}

TEST_CASE("messages arrive in order, with their descriptors", "[control]") {
    Ends ends = make_ends();
    for (Message& message : samples()) REQUIRE(ends.left.send(std::move(message)).has_value());
    for (const Message& expected : samples()) {
        auto got = ends.right.receive();
        REQUIRE(got.has_value());
        REQUIRE(got->has_value());
        CHECK((*got)->index() == expected.index());
        if (const auto* config = std::get_if<ConfigMessage>(&**got)) {
            CHECK(::fcntl(config->text.get(), F_GETFD) == FD_CLOEXEC);
        }
    }
    CHECK_FALSE(ends.right.receive()->has_value());
}

TEST_CASE("an end that does not read fills the queue up to its bound, and nobody blocks", "[control]") {
    Ends ends = make_ends();
    std::uint64_t sent = 0;
    Result<void> result;
    while ((result = ends.left.send(Ping{sent}))) ++sent;
    CHECK(result.error() == errc::overflow);
    CHECK(sent >= Channel::max_queue);
    CHECK(ends.left.wants_write());

    std::uint64_t received = 0;
    while (received < sent) {
        auto got = ends.right.receive();
        REQUIRE(got.has_value());
        if (*got) {
            CHECK(std::get<Ping>(**got).number == received++);
        } else {
            REQUIRE(ends.left.flush().has_value());
        }
    }
    CHECK_FALSE(ends.left.wants_write());
}

TEST_CASE("the end of the other process is told as closed", "[control]") {
    Ends ends = make_ends();
    REQUIRE(ends.right.send(Pong{1}).has_value());
    ends.right.close();
    CHECK(std::get<Pong>(**ends.left.receive()).number == 1);
    CHECK(ends.left.receive().error() == errc::closed);
    CHECK(ends.left.send(Ping{1}).error() == errc::closed);
    CHECK(ends.right.send(Ping{1}).error() == errc::closed);
}

TEST_CASE("nonsense on the channel is malformed, and its descriptors are closed", "[control]") {
    auto pair = make_pair();
    REQUIRE(pair.has_value());
    const std::size_t before = open_descriptors();
    const char bytes[] = "nonsense";
    iovec part{const_cast<char*>(bytes), sizeof(bytes)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(c)) = 0;
    REQUIRE(::sendmsg(pair->second.get(), &header, 0) == sizeof(bytes));
    CHECK(pair->first.receive().error() == errc::malformed);
    CHECK(open_descriptors() == before);
}

TEST_CASE("as many descriptors as the kernel carries go through in one message", "[control]") {
    Ends ends = make_ends();
    Listeners listeners;
    for (std::size_t i = 0; i < max_fds; ++i) listeners.sockets.push_back({1, "web", {}, some_fd()});
    REQUIRE(ends.left.send(std::move(listeners)).has_value());
    auto got = ends.right.receive();
    REQUIRE(got.has_value());
    CHECK(std::get<Listeners>(**got).sockets.size() == max_fds);
}

TEST_CASE("sealed contents can be read and not be changed", "[control]") {
    auto fd = make_sealed("test", std::string("secret"));
    REQUIRE(fd.has_value());
    CHECK(*read_sealed(*fd, 100) == "secret");
    CHECK(*read_sealed(*fd, 6) == "secret");  // the offset is not used up
    CHECK(read_sealed(*fd, 5).error() == errc::too_large);
    CHECK(::write(fd->get(), "x", 1) == -1);
    CHECK(::ftruncate(fd->get(), 0) == -1);
    CHECK(read_sealed(some_fd(), 100).error() == errc::malformed);
}

}  // namespace
}  // namespace edgeproxy::control
