// SPDX-License-Identifier: Apache-2.0
#include "tls/io/reactor.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "tls/io/socket.hpp"

using namespace edgeproxy::io;
using namespace std::chrono_literals;

namespace {

Task<void> sleeps(Reactor& reactor, Duration how_long, std::vector<int>& order, int mark) {
    co_await Sleep{reactor, reactor.now() + std::chrono::duration_cast<TimePoint::duration>(how_long)};
    order.push_back(mark);
}

Task<void> waits_until(Event& event, TimePoint deadline, error_code& outcome) {
    const auto result = co_await event.wait(deadline);
    outcome = result ? error_code{} : result.error();
}

struct Flush final : BatchEnd {
    int calls = 0;
    void batch_ended() override { ++calls; }
};

}  // namespace

TEST_CASE("virtual time moves to the next deadline when nothing is ready", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    std::vector<int> order;
    reactor.spawn(sleeps(reactor, 3600s, order, 3));
    reactor.spawn(sleeps(reactor, 1s, order, 1));
    reactor.spawn(sleeps(reactor, 60s, order, 2));
    while (reactor.spawned() > 0) reactor.run_once(2h);
    CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("a wait for an event ends set, late or cancelled", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Event event{reactor};
    error_code outcome = errc::eof;
    reactor.spawn(waits_until(event, reactor.now() + 5s, outcome));
    SECTION("set") {
        event.set();
        reactor.run_once(Duration::zero());
        CHECK_FALSE(outcome);
    }
    SECTION("late") {
        reactor.run_once(1min);
        reactor.run_once(1min);
        CHECK(outcome == errc::timed_out);
    }
    SECTION("cancelled") {
        reactor.cancel_all();
        reactor.run_once(Duration::zero());
        CHECK(outcome == errc::cancelled);
    }
    CHECK(reactor.spawned() == 0);
}

TEST_CASE("what other threads post runs on the reactor's thread, all of it, in order per thread", "[io][reactor]") {
    Clock clock = Clock::real();
    Reactor reactor{0, clock};
    constexpr int each = 20'000;
    std::vector<int> last(3, -1);
    int in_order = 0;
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < last.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                reactor.post([&, t, i] {
                    if (last[t] == i - 1) ++in_order;
                    last[t] = i;
                    if (in_order == 3 * each) reactor.stop();
                });
            }
        });
    }
    reactor.run();
    CHECK(in_order == 3 * each);
}

namespace {

struct Witness final : Source {
    Reactor& reactor;
    const Witness* other = nullptr;
    int calls = 0;
    bool input_of_other_ahead = false;
    explicit Witness(Reactor& r) : reactor(r) {}
    void ready(Events) override {
        ++calls;
        if (other != nullptr) input_of_other_ahead = reactor.input_ahead(*other);
    }
};

}  // namespace

TEST_CASE("the events of a batch are announced before the first is delivered", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Witness first{reactor}, second{reactor};
    first.other = &second;
    auto [a, far_a] = socket_pair();
    auto [b, far_b] = socket_pair();
    REQUIRE_FALSE(reactor.add(first, a.get()));
    REQUIRE_FALSE(reactor.add(second, b.get()));
    reactor.run_once(Duration::zero());  // both are writable
    REQUIRE(first.calls == 1);
    const std::uint64_t turn = reactor.turn();
    CHECK_FALSE(first.input_of_other_ahead);  // to write is no input

    REQUIRE(::write(far_a.get(), "x", 1) == 1);
    const bool second_speaks = GENERATE(false, true);
    if (second_speaks) REQUIRE(::write(far_b.get(), "x", 1) == 1);
    reactor.run_once(Duration::zero());
    CHECK(first.calls == 2);
    CHECK(first.input_of_other_ahead == second_speaks);
    CHECK_FALSE(reactor.input_ahead(second));  // delivered
    CHECK(reactor.turn() == turn + 1);
    CHECK(reactor.saw_all());
    reactor.remove(first, a.get());
    reactor.remove(second, b.get());
}

TEST_CASE("batch_ended is called once a turn, and not for what was destroyed", "[io][reactor]") {
    Clock clock = Clock::manual();
    Reactor reactor{0, clock};
    Flush flush;
    reactor.at_batch_end(flush);
    reactor.at_batch_end(flush);
    {
        Flush gone;
        reactor.at_batch_end(gone);
    }
    reactor.run_once(Duration::zero());
    reactor.run_once(Duration::zero());
    CHECK(flush.calls == 1);
}
