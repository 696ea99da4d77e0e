// SPDX-License-Identifier: Apache-2.0
#include "tls/io/task.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>

#include "tls/io/reactor.hpp"

using namespace edgeproxy::io;

namespace {

Task<int> finished(int value) {
    co_return value;
}

Task<void> await_many(int count, long& sum) {
    for (int i = 0; i < count; ++i) sum += co_await finished(1);
}

Task<int> fails() {
    throw std::runtime_error("no");
    co_return 0;
}

Task<void> catches(bool& caught) {
    try {
        co_await fails();
    } catch (const std::runtime_error&) {
        caught = true;
    }
}

Task<int> waits(Event& event) {
    co_await event.wait();
    co_return 7;
}

Task<void> joins(Event& event, int& result) {
    Task<int> child = waits(event);
    child.start();
    result = 1;
    result = co_await child;
}

}  // namespace

TEST_CASE("two million awaits that finish at once need no stack", "[io][task]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    long sum = 0;
    reactor.spawn(await_many(2'000'000, sum));
    reactor.run_once(Duration::zero());
    CHECK(sum == 2'000'000);
    CHECK(reactor.spawned() == 0);
}

TEST_CASE("an exception continues in the awaiter", "[io][task]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    bool caught = false;
    reactor.spawn(catches(caught));
    CHECK(caught);
}

TEST_CASE("an exception that leaves a spawned task is counted and ends only that task", "[io][task]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    reactor.spawn([]() -> Task<void> {
        throw std::runtime_error("bug");
        co_return;
    }());
    reactor.run_once(Duration::zero());
    CHECK(reactor.exceptions() == 1);
    CHECK(reactor.spawned() == 0);
}

TEST_CASE("a task started early runs beside its parent and is joined", "[io][task]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Event event{reactor};
    int result = 0;
    reactor.spawn(joins(event, result));
    CHECK(result == 1);
    event.set();
    reactor.run_once(Duration::zero());
    CHECK(result == 7);
}

namespace {
Task<void> waits_each_time(Event& event, int rounds, int& done) {
    for (int i = 0; i < rounds; ++i) {
        co_await waits(event);
        event.reset();
        ++done;
    }
}
}  // namespace

TEST_CASE("a parent may loop over children that each suspend", "[io][task]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Event event{reactor};
    int done = 0;
    reactor.spawn(waits_each_time(event, 100'000, done));
    for (int i = 0; i < 100'000; ++i) {
        event.set();
        reactor.run_once(Duration::zero());
    }
    CHECK(done == 100'000);
}
