// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/witnesses.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

using Who = Witnesses::Who;
using Event = WorkerEvent;
using Words = std::vector<Word>;

TEST_CASE("alone, a proxy's every word counts at once", "[witnesses]") {
    Witnesses witnesses;
    for (const Event event : {Event::answered, Event::suspect, Event::resumed, Event::hung, Event::unhealthy,
                              Event::healthy, Event::drained}) {
        const Word word{7, event, "why"};
        CHECK(witnesses.hear(Who::active, word) == Words{word});
    }
}

TEST_CASE("of two, only the active one judges health, and nobody judges unread bytes", "[witnesses]") {
    struct Case {
        Who who;
        Event event;
        bool counts;
    };
    const auto [who, event, counts] = GENERATE(values<Case>({{Who::active, Event::answered, true},
                                                             {Who::active, Event::unhealthy, true},
                                                             {Who::active, Event::healthy, true},
                                                             {Who::active, Event::resumed, true},
                                                             {Who::active, Event::suspect, false},
                                                             {Who::active, Event::hung, false},
                                                             {Who::active, Event::drained, false},
                                                             {Who::other, Event::answered, false},
                                                             {Who::other, Event::unhealthy, false},
                                                             {Who::other, Event::healthy, false},
                                                             {Who::other, Event::resumed, false},
                                                             {Who::other, Event::suspect, false},
                                                             {Who::other, Event::hung, false},
                                                             {Who::other, Event::drained, false}}));
    Witnesses witnesses;
    witnesses.begin();
    const Word word{7, event, {}};
    CHECK(witnesses.hear(who, word) == (counts ? Words{word} : Words{}));
}

TEST_CASE("a worker is drained when both have said so, or the one that has not is gone", "[witnesses]") {
    Witnesses witnesses;
    witnesses.begin();
    CHECK(witnesses.hear(Who::active, {1, Event::drained, {}}).empty());
    CHECK(witnesses.hear(Who::other, {2, Event::drained, {}}).empty());
    CHECK(witnesses.hear(Who::other, {1, Event::drained, {}}) == Words{{1, Event::drained, {}}});
    CHECK(witnesses.hear(Who::active, {3, Event::drained, {}}).empty());
    SECTION("the other one goes") {
        CHECK(witnesses.end() == Words{{1, Event::drained, {}}, {3, Event::drained, {}}});
    }
    SECTION("the other one takes over, and the first one goes") {
        CHECK(witnesses.swap().empty());
        CHECK(witnesses.end() == Words{{1, Event::drained, {}}, {2, Event::drained, {}}});
    }
    CHECK_FALSE(witnesses.two());
}

TEST_CASE("what the new one has heard from workers counts when it takes over", "[witnesses]") {
    Witnesses witnesses;
    witnesses.begin();
    CHECK_FALSE(witnesses.other_knows(5));
    CHECK(witnesses.hear(Who::other, {5, Event::answered, {}}).empty());
    CHECK(witnesses.other_knows(5));
    CHECK(witnesses.swap() == Words{{5, Event::answered, {}}});
    CHECK(witnesses.hear(Who::active, {6, Event::answered, {}}) == Words{{6, Event::answered, {}}});
}

TEST_CASE("the last word on unread bytes is kept until the active one is alone", "[witnesses]") {
    Witnesses witnesses;
    witnesses.begin();
    witnesses.hear(Who::active, {1, Event::suspect, {}});
    witnesses.hear(Who::active, {2, Event::suspect, {}});
    witnesses.hear(Who::active, {2, Event::hung, {}});
    witnesses.hear(Who::active, {3, Event::suspect, {}});
    witnesses.hear(Who::active, {3, Event::resumed, {}});
    SECTION("it stays the active one") {
        CHECK(witnesses.end() == Words{{1, Event::suspect, {}}, {2, Event::suspect, {}}, {2, Event::hung, {}}});
    }
    SECTION("the other one has not said anything of the kind") {
        witnesses.swap();
        CHECK(witnesses.end().empty());
    }
}

}  // namespace
}  // namespace edgeproxy::master
