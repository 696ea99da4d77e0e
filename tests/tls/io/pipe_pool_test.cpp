// SPDX-License-Identifier: Apache-2.0
#include "tls/io/pipe_pool.hpp"

#include <sys/inotify.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "tls/io/socket.hpp"

using namespace edgeproxy::io;

namespace {

/// Two connections, and what goes from the first to the second.
struct Relay {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    std::pair<UniqueFd, UniqueFd> left = socket_pair();
    std::pair<UniqueFd, UniqueFd> right = socket_pair();
    Socket from{reactor, std::move(left.second)};
    Socket to{reactor, std::move(right.first)};
    Pipe pipe;
    Result<std::size_t> got{0}, put{0};

    Task<void> take(std::size_t most) { got = co_await from.splice_some(pipe, most); }
    Task<void> give() { put = co_await to.splice_all(pipe); }
    void start(Task<void> task) {
        reactor.spawn(std::move(task));
        turn();
    }
    void turn() {
        for (int i = 0; i < 10; ++i) reactor.run_once(Duration::zero());
    }
    void write(std::string_view text) const {
        REQUIRE(::send(left.first.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    }
    std::string read() const {
        std::string text(1 << 20, '\0');
        const ssize_t size = ::recv(right.second.get(), text.data(), text.size(), MSG_DONTWAIT);
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }
};

}  // namespace

TEST_CASE("bytes pass from socket to socket, no more than asked for", "[io][pipe]") {
    Relay relay;
    relay.write("the body, and the next head");
    relay.start(relay.take(8));
    REQUIRE(relay.got == 8U);
    CHECK(relay.pipe.held() == 8);
    relay.start(relay.give());
    CHECK(relay.put == 8U);
    CHECK(relay.pipe.held() == 0);
    CHECK(relay.read() == "the body");
    relay.pipe.release();
    relay.start(relay.take(1000));
    CHECK(relay.got == 19U);
}

TEST_CASE("who waits for bytes holds no pipe", "[io][pipe]") {
    Relay relay;
    relay.start(relay.take(8));
    CHECK(relay.reactor.pipes().lent() == 0);
    relay.write("12345");
    relay.turn();
    CHECK(relay.got == 5U);
    CHECK(relay.reactor.pipes().lent() == 1);
    relay.pipe.release();
    CHECK(relay.reactor.pipes().lent() == 0);
}

TEST_CASE("the end of a connection is told, and no pipe is kept for it", "[io][pipe]") {
    Relay relay;
    relay.left.first.reset();
    relay.start(relay.take(8));
    CHECK(relay.got.error() == errc::eof);
    CHECK_FALSE(relay.pipe);
}

TEST_CASE("a full connection is waited for and gets the rest", "[io][pipe]") {
    Relay relay;
    const int small = 4096;
    ::setsockopt(relay.to.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string text(64 * 1024, 'x');
    relay.write(text);
    std::string came;
    relay.start(relay.take(text.size()));
    REQUIRE(relay.got);
    const std::size_t taken = *relay.got;
    relay.start(relay.give());
    while (came.size() < taken) {
        came += relay.read();
        relay.turn();
    }
    CHECK(relay.put == taken);
    CHECK(came == text.substr(0, taken));
}

TEST_CASE("a pipe with bytes of one connection in it is never given to another", "[io][pipe]") {
    Relay relay;
    relay.write("secret");
    relay.start(relay.take(100));
    const int used = relay.pipe.out();
    REQUIRE(relay.pipe.held() == 6);
    relay.pipe.release();
    char byte;
    CHECK(::read(used, &byte, 1) < 0);  // closed
    Pipe next = relay.reactor.pipes().take(1 << 30);
    REQUIRE(next);
    CHECK(::read(next.out(), &byte, 1) < 0);
}

TEST_CASE("pipes are bounded, used again, and refused beyond the ceiling of descriptors", "[io][pipe]") {
    PipePool pool;
    std::vector<Pipe> lent;
    for (unsigned i = 0; i < PipePool::most; ++i) lent.push_back(pool.take(1 << 30));
    CHECK(lent.back());
    CHECK_FALSE(pool.take(1 << 30));
    const int warm = lent.back().in();
    lent.pop_back();
    CHECK(pool.take(1 << 30).in() == warm);
    lent.clear();
    CHECK(pool.lent() == 0);
    pool.trim();
    CHECK_FALSE(pool.take(3));
    CHECK(pool.take(1 << 30));
    pool.disable();
    CHECK_FALSE(pool.take(1 << 30));
}

TEST_CASE("where splicing does not work nothing is lost", "[io][pipe]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    // Stands for a sandbox or a kernel that refuses: it can be read, not spliced.
    UniqueFd notes{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    char folder[] = "/tmp/pipe_pool_test.XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    REQUIRE(::inotify_add_watch(notes.get(), folder, IN_DELETE_SELF) >= 0);
    REQUIRE(::rmdir(folder) == 0);
    Socket socket{reactor, std::move(notes)};
    Pipe pipe;
    Result<std::size_t> got{9};
    reactor.spawn([](Socket& from, Pipe& into, Result<std::size_t>& result) -> Task<void> {
        result = co_await from.splice_some(into, 100);
    }(socket, pipe, got));
    for (int i = 0; i < 10; ++i) reactor.run_once(Duration::zero());
    CHECK(got == 0U);
    CHECK_FALSE(pipe);
    CHECK_FALSE(reactor.pipes().take(1 << 30));
    char text[256];
    CHECK(::read(socket.fd(), text, sizeof text) > 0);
}
