// SPDX-License-Identifier: Apache-2.0
#include "upstream/balancer.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <vector>

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace std::chrono_literals;

namespace {

const io::TimePoint now{1000h};

/// Endpoints for the balancer to look at: gate, slow start and weight of each.
struct Field {
    struct Member {
        explicit Member(std::uint32_t limit) : gate(limit) {}
        Gate gate;
        SlowStart slow_start;
    };
    std::deque<Member> members;
    std::vector<EndpointView> views;

    Gate& add(std::uint32_t in_flight, std::uint32_t limit = 10, std::uint32_t weight = 1) {
        Member& member = members.emplace_back(limit);
        member.gate.set_state(EndpointState::ready);
        for (std::uint32_t i = 0; i < in_flight; ++i) member.gate.try_enter();
        views.push_back({&member.gate, &member.slow_start, weight});
        return member.gate;
    }
    /// How often each was chosen in `draws` choices; the choice is entered if `enter`.
    std::vector<int> shares(Balancer& balancer, int draws, bool enter = false, std::size_t avoid = no_view) {
        std::vector<int> count(members.size());
        for (int i = 0; i < draws; ++i) {
            const auto choice = balancer.choose(views, avoid, now);
            if (choice == no_view) break;
            ++count[choice];
            if (enter) members[choice].gate.try_enter();
        }
        return count;
    }
};

constexpr auto kinds = {config::Balance::least_requests, config::Balance::round_robin};

}  // namespace

TEST_CASE("least requests chooses the lowest load for its weight", "[upstream][balancer]") {
    struct Row {
        std::vector<std::pair<std::uint32_t, std::uint32_t>> in_flight_and_weight;
        std::size_t expected;
    };
    const auto row = GENERATE(values<Row>({
        {{{3, 1}, {1, 1}, {2, 1}}, 1},
        {{{0, 1}}, 0},
        {{{1, 1}, {2, 2}}, 1},          // 2/1 against 3/2
        {{{1, 1}, {5, 4}, {1, 1}}, 1},  // 6/4
        {{{0, 1}, {0, 2}}, 1},
    }));
    Field field;
    for (const auto& [in_flight, weight] : row.in_flight_and_weight) field.add(in_flight, 10, weight);
    Balancer balancer{config::Balance::least_requests, 1};
    for (int i = 0; i < 20; ++i) CHECK(balancer.choose(field.views, no_view, now) == row.expected);
}

TEST_CASE("equals are chosen equally often", "[upstream][balancer]") {
    Field field;
    for (int i = 0; i < 4; ++i) field.add(0);
    Balancer balancer{config::Balance::least_requests, 7};
    for (const int share : field.shares(balancer, 4000)) CHECK(share == Approx(1000).margin(150));
}

TEST_CASE("round robin goes round, each by its weight", "[upstream][balancer]") {
    Field field;
    field.add(0), field.add(0, 10, 2), field.add(0);
    Balancer balancer{config::Balance::round_robin, 1};
    std::string order;
    for (int i = 0; i < 8; ++i) order += static_cast<char>('a' + balancer.choose(field.views, no_view, now));
    CHECK(order == "abbcabbc");
}

TEST_CASE("who cannot take a request is passed over", "[upstream][balancer]") {
    const auto kind = GENERATE(values(kinds));
    const auto spoil = GENERATE(values<void (*)(Gate&)>({
        [](Gate& gate) { gate.set_state(EndpointState::starting); },
        [](Gate& gate) { gate.set_state(EndpointState::suspect); },
        [](Gate& gate) { gate.set_state(EndpointState::draining); },
        [](Gate& gate) { gate.set_state(EndpointState::down); },
        [](Gate& gate) { gate.set_ejected(true); },
        [](Gate& gate) { gate.set_limit(1), gate.try_enter(); },
    }));
    Field field;
    spoil(field.add(0));
    field.add(9);
    spoil(field.add(0));
    Balancer balancer{kind, 1};
    CHECK(field.shares(balancer, 50) == std::vector{0, 50, 0});
}

TEST_CASE("the avoided endpoint is taken only if there is no other", "[upstream][balancer]") {
    const auto kind = GENERATE(values(kinds));
    Field field;
    field.add(0);
    Gate& other = field.add(9);
    Balancer balancer{kind, 1};
    CHECK(balancer.choose(field.views, 0, now) == 1);
    CHECK(balancer.choose(field.views, 0, now) == 1);
    other.set_state(EndpointState::down);
    CHECK(balancer.choose(field.views, 0, now) == 0);
}

TEST_CASE("nobody is chosen where nobody has room", "[upstream][balancer]") {
    const auto kind = GENERATE(values(kinds));
    Balancer balancer{kind, 1};
    Field field;
    CHECK(balancer.choose(field.views, no_view, now) == no_view);
    field.add(10);
    field.add(0).set_ejected(true);
    CHECK(balancer.choose(field.views, no_view, now) == no_view);
    CHECK(balancer.choose(field.views, 0, now) == no_view);
    CHECK(balancer.choose(field.views, 7, now) == no_view);
}

TEST_CASE("limits are reached exactly and by all", "[upstream][balancer]") {
    const auto kind = GENERATE(values(kinds));
    const auto size = GENERATE(3, 40);  // full scan and two choices
    Field field;
    for (int i = 0; i < size; ++i) field.add(0, 5);
    Balancer balancer{kind, 3};
    CHECK(field.shares(balancer, 1000, true) == std::vector<int>(static_cast<std::size_t>(size), 5));
}

TEST_CASE("two drawn ones of many are compared, so load stays even", "[upstream][balancer]") {
    Field field;
    for (int i = 0; i < 100; ++i) field.add(0, 1000);
    Balancer balancer{config::Balance::least_requests, 5};
    for (const int share : field.shares(balancer, 10000, true)) CHECK(share == Approx(100).margin(10));
}

TEST_CASE("a cold endpoint's share grows from a tenth to all in ten seconds", "[upstream][balancer]") {
    SlowStart slow_start;
    slow_start.begin(now);
    const auto [age, share] = GENERATE(table<io::Duration, std::uint32_t>(
        {{0s, 100}, {1s, 190}, {5s, 550}, {9999ms, 999}, {10s, 1000}, {1h, 1000}, {-1s, 100}}));
    CAPTURE(age.count());
    CHECK(slow_start.share(now + age) == share);
}

TEST_CASE("a cold endpoint gets a tenth of what a warm one gets", "[upstream][balancer]") {
    Field field;
    field.add(0, 2000), field.add(0, 2000);
    field.members[1].slow_start.begin(now);
    field.members[1].gate.set_cold(true);

    SECTION("least requests: by in-flight") {
        Balancer balancer{config::Balance::least_requests, 1};
        const auto shares = field.shares(balancer, 1100, true);
        CHECK(shares[1] == Approx(100).margin(2));
    }
    SECTION("least requests: by chance, while nobody has anything to do") {
        Balancer balancer{config::Balance::least_requests, 1};
        CHECK(field.shares(balancer, 2000)[1] == Approx(100).margin(40));
    }
    SECTION("round robin: by turns") {
        Balancer balancer{config::Balance::round_robin, 1};
        CHECK(field.shares(balancer, 1100)[1] == Approx(100).margin(40));
    }
    SECTION("alone it gets everything") {
        field.members[0].gate.set_state(EndpointState::down);
        const auto kind = GENERATE(values(kinds));
        Balancer balancer{kind, 1};
        CHECK(field.shares(balancer, 100) == std::vector{0, 100});
    }
}
