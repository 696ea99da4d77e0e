// SPDX-License-Identifier: Apache-2.0
#include "upstream/waiting_line.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <thread>

#include "upstream/gate.hpp"

using namespace edgeproxy::upstream;

namespace {

/// The line never looks into an endpoint; any distinct pointer will do.
Endpoint* endpoint(std::uintptr_t number) {
    return reinterpret_cast<Endpoint*>(number);
}

/// A line whose places are counted by hand; every home writes down that it was told.
struct Counter {
    int places = 0;
    std::vector<std::size_t> told;
    WaitingLine line;

    explicit Counter(std::size_t size, std::size_t homes = 2)
        : line(
              size, homes, [this](const Waiter&) { return places > 0 ? places--, endpoint(1) : nullptr; },
              [this](std::size_t home) { told.push_back(home); }) {}
};

}  // namespace

TEST_CASE("places are handed over in the order of joining", "[upstream][line]") {
    Counter counter{8};
    std::deque<Waiter> waiters;
    for (int i = 0; i < 3; ++i) REQUIRE(counter.line.join(waiters.emplace_back(0)));
    CHECK(counter.line.length() == 3);
    counter.line.pump();
    CHECK(counter.told.empty());

    counter.places = 2;
    counter.line.pump();
    CHECK(counter.told == std::vector<std::size_t>{0});  // told once for both
    counter.line.hear(0);
    CHECK(counter.line.collect(0) == &waiters[0]);
    CHECK(counter.line.collect(0) == &waiters[1]);
    CHECK(counter.line.collect(0) == nullptr);
    CHECK(waiters[0].endpoint == endpoint(1));

    counter.places = 1;
    CHECK(counter.line.pump(0));  // the caller's own home is not told
    CHECK(counter.told.size() == 1);
    CHECK(counter.line.collect(0) == &waiters[2]);
    CHECK_FALSE(counter.line.occupied());
}

TEST_CASE("a home is not told again while word is under way to it, even if it collects in the meantime",
          "[upstream][line]") {
    Counter counter{8};
    std::deque<Waiter> waiters;
    for (int i = 0; i < 3; ++i) REQUIRE(counter.line.join(waiters.emplace_back(0)));
    counter.places = 1;
    counter.line.pump(1);
    CHECK(counter.told.size() == 1);
    counter.places = 1;
    CHECK(counter.line.pump(0));  // it frees a place itself, and collects both
    CHECK(counter.line.collect(0) == &waiters[0]);
    CHECK(counter.line.collect(0) == &waiters[1]);
    CHECK(counter.line.collect(0) == nullptr);
    counter.places = 1;
    counter.line.pump(1);
    CHECK(counter.told.size() == 1);
    counter.line.hear(0);
    CHECK(counter.line.collect(0) == &waiters[2]);
}

TEST_CASE("a full line takes nobody, until one leaves", "[upstream][line]") {
    Counter counter{2};
    Waiter a{0}, b{1}, c{0};
    CHECK(counter.line.join(a));
    CHECK(counter.line.join(b));
    CHECK_FALSE(counter.line.join(c));
    CHECK_FALSE(counter.line.leave(a));
    CHECK(counter.line.join(c));
    counter.line.set_size(1);
    CHECK_FALSE(counter.line.join(a));
    counter.line.leave(b), counter.line.leave(c);
}

TEST_CASE("who leaves after a place was granted takes the place along", "[upstream][line]") {
    Counter counter{2};
    Waiter goer{0};
    REQUIRE(counter.line.join(goer));
    counter.places = 1;
    counter.line.pump();
    CHECK(counter.line.leave(goer));
    CHECK(goer.endpoint == endpoint(1));
    CHECK(counter.line.collect(0) == nullptr);
    CHECK_FALSE(counter.line.leave(goer));
}

TEST_CASE("everybody who waits can be failed at once, and told at home", "[upstream][line]") {
    Counter counter{4};
    Waiter a{0}, b{1};
    REQUIRE(counter.line.join(a));
    REQUIRE(counter.line.join(b));
    counter.line.fail_all(errc::pool_down);
    CHECK(counter.told == std::vector<std::size_t>{0, 1});
    CHECK(counter.line.collect(1) == &b);
    CHECK(counter.line.collect(0) == &a);
    CHECK(a.error == errc::pool_down);
    CHECK(a.endpoint == nullptr);
    CHECK_FALSE(counter.line.occupied());
}

namespace {

/// Threads that fight for the places of a few gates by the protocol of Gate and WaitingLine, with leavers among them.
class Contest {
 public:
    static constexpr std::size_t threads = 4, gates = 2;
    static constexpr int limit = 1, rounds = 4000;

    Contest()
        : line_(
              threads, threads, [this](const Waiter&) { return enter(); }, [this](std::size_t h) { tell(h); }) {
        for (auto& gate : gates_) gate.set_state(EndpointState::ready);
    }

    void run() {
        std::vector<std::thread> running;
        for (std::size_t home = 0; home < threads; ++home) running.emplace_back([this, home] { compete(home); });
        for (auto& thread : running) thread.join();
    }
    bool over() const { return over_; }
    int served() const { return served_; }
    int left() const { return left_; }
    bool empty() const { return gates_[0].read().empty() && gates_[1].read().empty() && !line_.occupied(); }

 private:
    struct Home {
        std::mutex mutex;
        std::condition_variable changed;
        bool told = false;
    };

    Endpoint* enter() {
        for (std::size_t i = 0; i < gates; ++i)
            if (gates_[i].try_enter()) return endpoint(i + 1);
        return nullptr;
    }
    void tell(std::size_t home) {
        const std::lock_guard lock(homes_[home].mutex);
        homes_[home].told = true;
        homes_[home].changed.notify_one();
    }
    void wait(std::size_t home) {
        std::unique_lock lock(homes_[home].mutex);
        homes_[home].changed.wait(lock, [&] { return std::exchange(homes_[home].told, false); });
        lock.unlock();
        line_.hear(home);
    }
    void compete(std::size_t home) {
        for (int round = 0; round < rounds; ++round) {
            Endpoint* place = line_.occupied() ? nullptr : enter();
            if (place == nullptr) place = queue(home, round % 7 == 0);
            if (place == nullptr) continue;
            serve(place);
            release(home, place);
        }
    }
    Endpoint* queue(std::size_t home, bool impatient) {
        Waiter waiter{home};
        if (!line_.join(waiter)) {
            over_ = true;  // the line has room for every thread
            return nullptr;
        }
        bool mine = line_.pump(home);
        while (!impatient) {
            if (!mine) wait(home);  // may be old word about a place that was collected without it
            mine = false;
            if (line_.collect(home) == &waiter) return waiter.endpoint;
        }
        if (line_.leave(waiter)) release(home, waiter.endpoint);
        ++left_;
        return nullptr;
    }
    void serve(Endpoint* place) {
        const auto index = reinterpret_cast<std::uintptr_t>(place) - 1;
        if (inside_[index].fetch_add(1) >= limit) over_ = true;
        ++served_;
        if (served_ % 64 == 0) std::this_thread::yield();
        inside_[index].fetch_sub(1);
    }
    void release(std::size_t home, Endpoint* place) {
        gates_[reinterpret_cast<std::uintptr_t>(place) - 1].release();
        if (!line_.occupied()) return;
        // Only homes with a waiter of their own can have something to collect, and this thread has none now.
        if (line_.pump(home)) over_ = true;
    }

    std::array<Gate, gates> gates_{Gate{limit}, Gate{limit}};
    std::array<std::atomic<int>, gates> inside_{};
    std::array<Home, threads> homes_;
    std::atomic<int> served_{0}, left_{0};
    std::atomic<bool> over_{false};
    WaitingLine line_;
};

}  // namespace

TEST_CASE("under contention no limit is passed, no place is lost and nobody is forgotten",
          "[upstream][line][threads]") {
    Contest contest;
    contest.run();  // a lost wake-up would hang here
    CHECK_FALSE(contest.over());
    CHECK(contest.served() + contest.left() == static_cast<int>(Contest::threads) * Contest::rounds);
    CHECK(contest.empty());
}
