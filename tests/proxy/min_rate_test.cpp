// SPDX-License-Identifier: Apache-2.0
#include "proxy/min_rate.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;

namespace {

const io::TimePoint begin{1h};
constexpr MinRate rule{100, 10s, 30s};

struct Step {
    io::Duration after;   ///< the step before it
    std::uint64_t bytes;  ///< that came then
};

struct Case {
    std::vector<Step> steps;
    io::Duration late;
};

/// When a peer that does this, and nothing more, is late.
io::Duration late_after(const MinRate& rate, const std::vector<Step>& steps) {
    RateWatch watch{rate};
    watch.start(begin);
    io::TimePoint now = begin;
    for (const Step& step : steps) {
        now += step.after;
        if (watch.late(now)) break;
        watch.moved(now, step.bytes);
    }
    return watch.deadline() - begin;
}

}  // namespace

TEST_CASE("a peer has its grace, then what its bytes have bought", "[proxy]") {
    const std::vector<Case> cases{
        {{}, 10s},
        {{{1s, 1}}, 10s + 10ms},
        {{{1s, 100}, {1s, 50}}, 11s + 500ms},
        {{{9s, 100}, {1s, 100}, {1s, 100}}, 13s},
        {{{10s, 100}}, 10s},       // too late to buy anything
        {{{1s, 1'000'000}}, 31s},  // a fast beginning saves up `credit` and no more
        {{{1s, 1'000'000}, {25s, 100}}, 32s},
        {{{1s, std::uint64_t{1} << 63}}, 31s},
        {{{0s, 0}, {5s, 0}}, 10s},
    };
    for (const Case& one : cases) {
        INFO(&one - cases.data());
        CHECK((late_after(rule, one.steps) == one.late));
    }
}

TEST_CASE("a drip is too slow however long it goes on", "[proxy]") {
    std::vector<Step> drip(100, Step{1s, 10});
    CHECK((late_after(rule, drip) < 12s));
    std::vector<Step> steady(100, Step{1s, 100});
    CHECK((late_after(rule, steady) >= 100s));
}

TEST_CASE("the clock stands still while it is not the peer's turn", "[proxy]") {
    RateWatch watch{rule};
    CHECK((watch.deadline() == io::never));
    watch.start(begin);
    watch.stop(begin + 4s);
    CHECK_FALSE(watch.late(begin + 24h));
    watch.start(begin + 1h);
    CHECK((watch.deadline() == begin + 1h + 6s));
    watch.start(begin + 1h + 1s);  // already its turn
    CHECK((watch.deadline() == begin + 1h + 6s));
    watch.stop(begin + 2h);  // it was late, which is as late as can be
    watch.moved(begin + 2h, 100);
    watch.start(begin + 3h);
    CHECK((watch.deadline() == begin + 3h + 1s));
}

TEST_CASE("no rate is asked for when it is off", "[proxy]") {
    RateWatch watch{body_rate(0)};
    watch.start(begin);
    watch.moved(begin, 5);
    CHECK((watch.deadline() == io::never));
    watch.stop(begin);
    CHECK_FALSE(watch.late(begin + 1000h));
}
