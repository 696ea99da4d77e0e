// SPDX-License-Identifier: Apache-2.0
#include "tls/io/timer_wheel.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <vector>

using namespace edgeproxy::io;
using namespace std::chrono_literals;

namespace {

struct Alarm final : Timer {
    int rang = 0;
    TimePoint at{};
    void expired(TimePoint now) override {
        ++rang;
        at = now;
    }
};

const TimePoint start{1000h};

}  // namespace

TEST_CASE("a timer rings within a tick after its deadline, never before", "[io][wheel]") {
    TimerWheel wheel{start};
    const auto wait = GENERATE(Duration(1ms), Duration(19ms), Duration(20ms), Duration(1s), Duration(20s),
                               Duration(21s), Duration(75s), Duration(1h));
    Alarm alarm;
    wheel.schedule(alarm, start + wait);
    TimePoint now = start;
    while (alarm.rang == 0 && now < start + wait + 1s) {
        now += 5ms;
        if (now >= start + wait + TimerWheel::tick + 5ms) break;
        wheel.advance(now);
    }
    CHECK(alarm.rang == 1);
    CHECK(alarm.at >= start + wait);
    CHECK(alarm.at <= start + wait + TimerWheel::tick + 5ms);
}

TEST_CASE("a deadline that is moved later on is honoured at the later time only", "[io][wheel]") {
    TimerWheel wheel{start};
    Alarm alarm;
    wheel.schedule(alarm, start + 100ms);
    wheel.schedule(alarm, start + 1s);
    wheel.advance(start + 500ms);
    CHECK(alarm.rang == 0);
    wheel.advance(start + 1100ms);
    CHECK(alarm.rang == 1);
}

TEST_CASE("a deadline that is moved nearer rings at the nearer time", "[io][wheel]") {
    TimerWheel wheel{start};
    Alarm alarm;
    wheel.schedule(alarm, start + 10s);
    wheel.schedule(alarm, start + 100ms);
    wheel.advance(start + 200ms);
    CHECK(alarm.rang == 1);
}

TEST_CASE("a destroyed timer is forgotten", "[io][wheel]") {
    TimerWheel wheel{start};
    {
        Alarm alarm;
        wheel.schedule(alarm, start + 100ms);
    }
    wheel.advance(start + 1s);
    CHECK(wheel.next_due() == never);
}

TEST_CASE("after a long sleep everything that is due rings once", "[io][wheel]") {
    TimerWheel wheel{start};
    std::vector<std::unique_ptr<Alarm>> alarms;
    std::mt19937 random{7};
    for (int i = 0; i < 2000; ++i) {
        alarms.push_back(std::make_unique<Alarm>());
        wheel.schedule(*alarms.back(), start + std::chrono::milliseconds(random() % 3'600'000));
    }
    wheel.advance(start + 2h);
    for (const auto& alarm : alarms) CHECK(alarm->rang == 1);
}

TEST_CASE("next_due is never late", "[io][wheel]") {
    TimerWheel wheel{start};
    Alarm alarm;
    const auto wait = GENERATE(Duration(1ms), Duration(333ms), Duration(19s), Duration(45s));
    wheel.schedule(alarm, start + wait);
    int turns = 0;
    while (alarm.rang == 0 && ++turns < 10) {
        REQUIRE(wheel.next_due() != never);
        REQUIRE(wheel.next_due() <= start + wait + TimerWheel::tick);
        wheel.advance(wheel.next_due());
    }
    CHECK(alarm.rang == 1);
}
