// SPDX-License-Identifier: Apache-2.0
// How workers leave: drained, cut at the deadline, told to the master.
#include <catch2/catch.hpp>

#include "tests/upstream/workshop.hpp"
#include "upstream/roster.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

using Told = std::vector<std::string>;

struct Flag final : Occupant {
    int cuts = 0, closes = 0;
    void cut() override { ++cuts; }
    void close_tunnel() override { ++closes; }
};

}  // namespace

TEST_CASE("a drain is reported once, whenever the worker becomes empty", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0);

    SECTION("already empty") {
        shop.ready(1);
        shop.drain(1);
    }
    SECTION("before it was ready") {
        shop.drain(1);
    }
    SECTION("by the last of several requests") {
        shop.ready(1);
        Request& a = requests.ask(0);
        Request& b = requests.ask(1);
        shop.drain(1);
        a.release();
        shop.settle();
        CHECK(shop.told.empty());
        b.release();
    }
    SECTION("by the end of a tunnel") {
        shop.ready(1);
        Tunnel tunnel = (*requests.ask().outcome)->to_tunnel();
        shop.drain(1);
        shop.settle();
        CHECK(shop.told.empty());
        tunnel.end();
    }
    shop.settle();
    CHECK(shop.told == Told{"drained 1 left 0"});
    shop.drain(1);
    shop.pass(100ms);
    CHECK(shop.told.size() == 1);
}

TEST_CASE("when the code has changed whoever has a tunnel hears it at once, and again at the deadline",
          "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    shop.up(2, 1), shop.ready(2);
    Request& here = requests.ask(0);
    Request& there = requests.ask(0);
    Flag first, second;
    (*here.outcome)->occupy(first);
    (*there.outcome)->occupy(second);
    Flag& leaving = here.said() == "app-1" ? first : second;
    Flag& staying = &leaving == &first ? second : first;
    shop.drain(1, 5s, control::DrainReason::changed);
    CHECK((leaving.closes == 1 && leaving.cuts == 0));
    shop.pass(5100ms);
    CHECK((leaving.closes == 1 && leaving.cuts == 1));
    CHECK((staying.closes == 0 && staying.cuts == 0));
}

TEST_CASE("at its deadline a drain cuts what is left and says how much that was", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& slow = requests.ask(0);
    Request& upgrade = requests.ask(1);
    Flag of_slow, of_tunnel, elsewhere;
    (*slow.outcome)->occupy(of_slow);
    (*upgrade.outcome)->occupy(of_tunnel);
    Tunnel tunnel = (*upgrade.outcome)->to_tunnel();
    shop.up(2, 1), shop.ready(2);
    Request& other = requests.ask(0);
    REQUIRE(other.said() == "app-2");
    (*other.outcome)->occupy(elsewhere);

    shop.drain(1, 5s);
    shop.pass(4950ms);
    CHECK(of_slow.cuts == 0);
    shop.pass(100ms);
    CHECK(of_slow.cuts == 1);
    CHECK(of_tunnel.cuts == 1);
    CHECK(elsewhere.cuts == 0);
    CHECK(shop.told == Told{"drained 1 left 2"});
    slow.release();
    tunnel.end();
    shop.settle();
    CHECK(shop.told.size() == 1);
}

TEST_CASE("requests and tunnels are cut before the master hears that the drain is over", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    struct Listening final : Occupant {
        explicit Listening(const Told& told) : told(told) {}
        void cut() override { told_before = told.size(); }
        const Told& told;
        std::size_t told_before = 99;
    } first{shop.told}, second{shop.told};
    Request& one = requests.ask(0);
    Request& other = requests.ask(1);
    (*one.outcome)->occupy(first);
    (*other.outcome)->occupy(second);
    shop.drain(1, 5s);
    shop.pass(5050ms);
    CHECK(first.told_before == 0);
    CHECK(second.told_before == 0);
    CHECK(shop.told == Told{"drained 1 left 2"});
    one.release();
    other.release();
    shop.settle();
}
