// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/rolling.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

using Reason = control::RestartReason;

Rolling rolling(std::size_t slots, Reason reason = Reason::reload) {
    Rolling out;
    out.resize(slots);
    for (std::uint32_t slot = 0; slot < slots; ++slot) out.want(slot, reason);
    return out;
}

TEST_CASE("workers are replaced one after another, in order", "[rolling]") {
    Rolling roll = rolling(3);
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        CHECK(roll.next(1) == slot);
        CHECK(roll.running(slot) == Reason::reload);
        CHECK_FALSE(roll.next(1));
        roll.done(slot);
    }
    CHECK_FALSE(roll.next(1));
    CHECK(roll.idle());
    CHECK(roll.replaced() == 3);
}

TEST_CASE("a larger surge replaces several at once", "[rolling]") {
    Rolling roll = rolling(3);
    CHECK(roll.next(2) == 0u);
    CHECK(roll.next(2) == 1u);
    CHECK_FALSE(roll.next(2));
    roll.done(1);
    CHECK(roll.next(2) == 2u);
}

TEST_CASE("the first failure ends the roll, and the rest is kept", "[rolling]") {
    Rolling roll = rolling(3);
    roll.next(1);
    roll.done(0);
    CHECK(roll.next(1) == 1u);
    roll.failed(1);
    CHECK(roll.idle());
    CHECK_FALSE(roll.next(1));
    CHECK(roll.replaced() == 1);
    roll.want(2, Reason::request);
    CHECK(roll.replaced() == 0);
    CHECK(roll.next(1) == 2u);
}

TEST_CASE("asked again while one runs, every worker is replaced once more, the running one too", "[rolling]") {
    Rolling roll = rolling(2);
    CHECK(roll.next(1) == 0u);
    for (std::uint32_t slot = 0; slot < 2; ++slot) roll.want(slot, Reason::request);
    CHECK_FALSE(roll.next(1));
    roll.done(0);
    CHECK(roll.next(1) == 0u);
    roll.done(0);
    CHECK(roll.next(1) == 1u);
    roll.done(1);
    CHECK(roll.idle());
    CHECK(roll.replaced() == 2);  // each counts once
}

TEST_CASE("it is known which workers were replaced, until the next roll begins", "[rolling]") {
    Rolling roll = rolling(2);
    roll.next(1);
    roll.done(0);
    CHECK(roll.was_replaced(0));
    CHECK_FALSE(roll.was_replaced(1));
    roll.next(1);
    roll.done(1);
    CHECK(roll.was_replaced(1));
    roll.want(0, Reason::request);
    CHECK_FALSE(roll.was_replaced(1));
    CHECK(roll.replaced() == 0);
}

TEST_CASE("recycling is never done for two at a time, whatever the surge", "[rolling]") {
    Rolling roll = rolling(3, Reason::recycle);
    CHECK(roll.next(8) == 0u);
    CHECK_FALSE(roll.next(8));
    roll.want(2, Reason::reload);
    CHECK(roll.next(8) == 2u);
    CHECK_FALSE(roll.next(8));
}

TEST_CASE("slots that are given up are not replaced", "[rolling]") {
    Rolling roll = rolling(3);
    roll.next(1);
    roll.forget(0);
    CHECK_FALSE(roll.running(0));
    roll.resize(2);
    CHECK(roll.next(1) == 1u);
    roll.want(2, Reason::reload);  // beyond the last: nothing
    roll.done(1);
    CHECK(roll.idle());
    CHECK_FALSE(roll.wanted(2));
}

}  // namespace
}  // namespace edgeproxy::master
