// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_clock.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace std::chrono_literals;
using Due = Http2Clock::Due;

namespace {

const io::TimePoint begin{1h};

/// A connection's clock with time that is moved, looked at only when it asks for it.
struct Hand {
    Http2Clock clock;
    io::TimePoint now = begin;
    bool open = true;

    explicit Hand(io::TimePoint old_at = io::never, Http2Clock::Lengths lengths = usual())
        : clock(lengths, begin, old_at) {}
    static Http2Clock::Lengths usual() { return {10s, 60s, 10s, 60s, response_rate(1024)}; }

    /// The first thing that is due, and how long after the beginning; `nothing` at `latest`.
    std::pair<Due, io::Duration> wait(io::Duration latest = 10h) {
        for (int looks = 0; looks < 10'000; ++looks) {
            const Due due = clock.due(now, open);
            if (due != Due::nothing) return {due, now - begin};
            const io::TimePoint next = clock.next(now);
            REQUIRE((next > now));
            if (next >= begin + latest) return {Due::nothing, latest};
            now = next;
        }
        FAIL("it looks without end");
        return {};
    }
};

void expect(std::pair<Due, io::Duration> is, Due due, io::Duration at) {
    CHECK(is.first == due);
    CHECK(is.second.count() == at.count());
}

}  // namespace

TEST_CASE("SETTINGS that are never acknowledged are due", "[proxy][h2]") {
    Hand hand;
    expect(hand.wait(), Due::settings_ack, 10s);
}

TEST_CASE("a silent client with open streams is asked, and has some time to answer", "[proxy][h2]") {
    Hand hand;
    hand.clock.settings_acknowledged();
    hand.clock.heard(begin + 5s);
    expect(hand.wait(), Due::ping, 65s);
    SECTION("it does not") {
        expect(hand.wait(), Due::ping_answer, 75s);
    }
    SECTION("it does, and is asked again") {
        hand.clock.heard(begin + 70s);
        expect(hand.wait(), Due::ping, 130s);
        expect(hand.wait(), Due::ping_answer, 140s);
    }
}

TEST_CASE("without open streams nobody is asked", "[proxy][h2]") {
    Hand hand;
    hand.clock.settings_acknowledged();
    hand.open = false;
    expect(hand.wait(), Due::nothing, 10h);
    hand.open = true;
    CHECK(hand.clock.due(hand.now, true) == Due::ping);
}

TEST_CASE("lengths of zero are no lengths", "[proxy][h2]") {
    Hand hand{io::never, {0s, 0s, 0s, 0s, {}}};
    hand.clock.all_wait(begin);
    hand.clock.output_waits(begin);
    expect(hand.wait(), Due::nothing, 10h);
}

TEST_CASE("an old connection says goodbye, and a little later takes no more", "[proxy][h2]") {
    Hand hand{begin + 30min};
    hand.clock.settings_acknowledged();
    hand.open = false;
    expect(hand.wait(), Due::age, 30min);
    hand.clock.said_goodbye(hand.now);
    expect(hand.wait(), Due::goodbye, 30min + 1s);
    expect(hand.wait(), Due::nothing, 10h);
}

TEST_CASE("streams that all wait for the client are a stall, unless one goes on", "[proxy][h2]") {
    Hand hand;
    hand.clock.settings_acknowledged();
    hand.clock.all_wait(begin + 1s);
    hand.clock.all_wait(begin + 20s);
    SECTION("none goes on") {
        hand.clock.heard(begin + 50s);
        expect(hand.wait(), Due::stall, 61s);
    }
    SECTION("one goes on") {
        hand.clock.one_moves();
        expect(hand.wait(), Due::ping, 60s);
    }
}

TEST_CASE("an output that leaves too slowly is due", "[proxy][h2]") {
    Hand hand;
    hand.clock.settings_acknowledged();
    hand.clock.output_waits(begin);
    SECTION("from the beginning") {
        expect(hand.wait(), Due::slow_reader, 30s);
    }
    SECTION("after a fast beginning") {
        hand.clock.output_left(begin + 5s, 1'000'000);
        hand.clock.heard(begin + 10s);
        hand.clock.output_waits(begin + 10s);
        expect(hand.wait(), Due::slow_reader, 70s);  // a minute was saved up
    }
    SECTION("not while there is nothing to take") {
        hand.clock.output_left(begin + 5s, 10);
        expect(hand.wait(), Due::ping, 60s);
    }
}

TEST_CASE("after the last word the end comes soon, and once", "[proxy][h2]") {
    Hand hand;
    hand.clock.settings_acknowledged();
    CHECK((hand.clock.close_at() == io::never));
    hand.clock.said_last_word(begin);
    hand.clock.said_last_word(begin + 500ms);
    expect(hand.wait(), Due::close, Http2Clock::last_word_time);
    CHECK(Http2Clock::last_word_time < 1s);
    CHECK((hand.clock.close_at() == io::never));
}
