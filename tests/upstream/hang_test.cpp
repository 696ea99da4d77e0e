// SPDX-License-Identifier: Apache-2.0
#include "upstream/hang.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "tests/upstream/workshop.hpp"

namespace edgeproxy::upstream {
namespace {

using namespace std::chrono_literals;
using Verdict = HangWatch::Verdict;

const config::Hang policy{2000ms, 30000ms};
constexpr io::TimePoint start{std::chrono::hours(1)};
constexpr HangWatch::Look quiet{0, 3, 256}, unread{1, 3, 256};

TEST_CASE("bytes that the other end has not read are counted on a unix socket, and only there", "[upstream][hang]") {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    CHECK(unread_bytes(pair[0]) == 0);
    REQUIRE(::send(pair[0], "abcd", 4, 0) == 4);
    CHECK(unread_bytes(pair[0]) > 0);
    std::array<char, 8> in{};
    REQUIRE(::recv(pair[1], in.data(), in.size(), 0) == 4);
    CHECK(unread_bytes(pair[0]) == 0);
    for (const int fd : pair) ::close(fd);
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(unread_bytes(tcp) == 0);
    ::close(tcp);
    CHECK(unread_bytes(-1) == 0);
}

TEST_CASE("a process that a signal holds is told from one that runs", "[upstream][hang]") {
    const pid_t child = ::fork();
    if (child == 0) {
        ::raise(SIGSTOP);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
    CHECK(is_stopped(child));
    CHECK_FALSE(is_stopped(::getpid()));
    CHECK_FALSE(is_stopped(-1));
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    CHECK_FALSE(is_stopped(child));
}

TEST_CASE("whoever reads is never suspect, however long its requests take", "[upstream][hang]") {
    HangWatch watch;
    for (auto now = start; now < start + 10min; now += 250ms) REQUIRE(watch.look(quiet, now, policy) == Verdict::same);
    CHECK_FALSE(watch.suspect());
}

TEST_CASE("unread makes suspect at once, hung when the rest of kill_after is over, and again after that",
          "[upstream][hang]") {
    HangWatch watch;
    CHECK(watch.look(unread, start, policy) == Verdict::suspect);
    std::vector<io::Duration> hung;
    for (auto age = 250ms; age < 60s; age += 250ms) {
        // What was unread has gone elsewhere: that is no sign of life.
        if (watch.look(quiet, start + age, policy) == Verdict::hung) hung.push_back(age);
    }
    CHECK(hung == std::vector<io::Duration>{28s, 58s});
}

TEST_CASE("a suspect worker that reads is as good as new", "[upstream][hang]") {
    HangWatch watch;
    CHECK_FALSE(watch.reads());
    CHECK(watch.look(unread, start, policy) == Verdict::suspect);
    CHECK(watch.reads());
    CHECK_FALSE(watch.reads());
    for (auto age = 250ms; age < 60s; age += 250ms) REQUIRE(watch.look(quiet, start + age, policy) == Verdict::same);
    CHECK(watch.look(unread, start + 60s, policy) == Verdict::suspect);
    CHECK(watch.look(quiet, start + 61s, policy) == Verdict::same);
}

TEST_CASE("a worker with as many requests as it may have is busy, unless it has read none of them",
          "[upstream][hang]") {
    const auto [look, verdict] = GENERATE(table<HangWatch::Look, Verdict>({{{1, 4, 4}, Verdict::same},
                                                                           {{3, 4, 4}, Verdict::same},
                                                                           {{4, 4, 4}, Verdict::suspect},
                                                                           {{1, 1, 1}, Verdict::suspect},
                                                                           {{1, 3, 4}, Verdict::suspect}}));
    HangWatch watch;
    CHECK(watch.look(look, start, policy) == verdict);
}

TEST_CASE("time in which we did not look is our own delay", "[upstream][hang]") {
    HangWatch watch;
    watch.look(unread, start, policy);
    CHECK(watch.look(quiet, start + 1h, policy) == Verdict::same);
    CHECK(watch.look(quiet, start + 1h + 1s, policy) == Verdict::same);
    auto now = start + 1h + 1s;
    while (watch.look(quiet, now += 250ms, policy) == Verdict::same) REQUIRE(now < start + 1h + 30s);
    CHECK(now == start + 1h + 27s);
}

TEST_CASE("a late answer of an earlier round counts for nothing", "[upstream][hang]") {
    UnreadCensus census;
    const auto first = census.begin();
    census.count(first, {7, 7, 8});
    CHECK(census.unread(7) == 2);
    CHECK(census.unread(8) == 1);
    CHECK(census.unread(9) == 0);
    const auto second = census.begin();
    census.count(first, {7});
    CHECK(census.unread(7) == 0);
    census.count(second, {9});
    census.count(second, {9});
    CHECK(census.unread(9) == 2);
}

// ---- with a pool

/// A request on its way: unread for as long as `read` is false.
struct Sent final : Occupant {
    bool read = false, moved = false;
    io::TimePoint at;
    explicit Sent(io::TimePoint when) : at(when) {}
    void cut() override {}
    bool is_unread(io::TimePoint now, io::Duration patience) const override { return !read && at + patience <= now; }
    void go_elsewhere(bool stopped) override { moved = stopped || !read; }
};

struct Shop : test::Workshop {
    Shop() : Workshop(pool()) {
        for (const control::Incarnation one : {1U, 2U}) {
            up(one, static_cast<std::uint32_t>(one - 1));
            ready(one);
        }
        pass(15s);
    }
    static config::Pool pool() {
        config::Pool pool = test::managed("app", 4);
        pool.hang = policy;
        return pool;
    }
};

TEST_CASE("a worker that does not read gets nothing new, and what it has not read goes elsewhere", "[upstream][hang]") {
    Shop shop;
    test::Requests requests{shop};
    const auto& held = requests.ask();
    const std::string name = held.said();
    const control::Incarnation who = name == "app-1" ? 1 : 2;
    Sent sent(shop.clock.now());
    (*held.outcome)->occupy(sent);
    shop.pass(1900ms);
    CHECK(shop.state(name) == "ready");
    shop.pass(200ms);
    CHECK(shop.state(name) == "unhealthy");
    CHECK(sent.moved);
    CHECK(shop.told == std::vector<std::string>{"suspect " + std::to_string(who)});
    for (int i = 0; i < 3; ++i) CHECK(requests.ask().said() != name);

    SECTION("it reads again") {
        shop.pools->worker_reads(who);
        CHECK(shop.state(name) == "ready");
        CHECK(shop.told.back() == "resumed " + std::to_string(who));
        shop.pools->worker_reads(who);
        CHECK(shop.told.size() == 2);
    }
    SECTION("it does not") {
        shop.pass(27s);
        CHECK(shop.told.size() == 1);
        shop.pass(1500ms);
        CHECK(shop.told.back() == "hung " + std::to_string(who));
        CHECK((*held.outcome)->endpoint().condemned());
    }
    SECTION("it dies") {
        shop.gone(who);
        shop.pools->worker_reads(who);
        shop.pass(60s);
        CHECK(shop.told.size() == 1);
    }
}

TEST_CASE("a worker that leaves a probe unread is suspect, until it reads", "[upstream][hang]") {
    Shop shop;
    shop.roster().untouched(1);
    shop.pass(20ms);
    CHECK(shop.state("app-1") == "unhealthy");
    shop.pools->worker_reads(1);
    shop.pass(60s);
    CHECK(shop.told == std::vector<std::string>{"suspect 1", "resumed 1"});
    shop.roster().untouched(99);  // gone meanwhile
}

TEST_CASE("a request that was read is left alone for as long as it takes", "[upstream][hang]") {
    Shop shop;
    test::Requests requests{shop};
    Sent sent(shop.clock.now());
    sent.read = true;
    (*requests.ask().outcome)->occupy(sent);
    shop.pass(60s);
    CHECK(shop.told.empty());
    CHECK_FALSE(sent.moved);
}

}  // namespace
}  // namespace edgeproxy::upstream
