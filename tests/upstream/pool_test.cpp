// SPDX-License-Identifier: Apache-2.0
#include "upstream/pool.hpp"

#include <catch2/catch.hpp>

#include "tests/upstream/workshop.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

/// A pool of one ready worker with room for `limit`.
struct OneWorker : Workshop {
    explicit OneWorker(unsigned limit = 1, config::Pool pool = managed()) : Workshop(with(std::move(pool), limit)) {
        up(1, 0);
        ready(1);
    }
    static config::Pool with(config::Pool pool, unsigned limit) {
        pool.max_in_flight = limit;
        return pool;
    }
};

}  // namespace

TEST_CASE("a request gets a place at once while there is room", "[upstream][pool]") {
    OneWorker shop{2};
    Requests requests{shop};
    CHECK(requests.ask(0).said() == "app-1");
    CHECK(requests.ask(1).said() == "app-1");
    CHECK(shop.status("app-1")->in_flight == 2);
    CHECK(shop.pool().cells(0).admitted_at_once.value() == 1);
    CHECK(shop.pool().cells(1).admitted_at_once.value() == 1);
    CHECK(requests.ask(0).said() == "waits");
    CHECK(shop.pool().waiting() == 1);
}

TEST_CASE("those who wait are served in order of arrival, across reactors, and nobody overtakes", "[upstream][pool]") {
    OneWorker shop;
    Requests requests{shop};
    Request& first = requests.ask(0);
    Request& second = requests.ask(1);
    Request& third = requests.ask(0);

    SECTION("a place that becomes free goes to the head") {
        first.release();
        Request& newcomer = requests.ask(0);
        shop.settle();
        CHECK(second.said() == "app-1");
        CHECK(third.said() == "waits");
        second.release();
        shop.settle();
        CHECK(third.said() == "app-1");
        CHECK(newcomer.said() == "waits");
        third.release();
        shop.settle();
        CHECK(newcomer.said() == "app-1");
        CHECK(shop.status("app-1")->in_flight == 1);
    }
    SECTION("room that appears unannounced goes to the head, not to who comes just then") {
        (*first.outcome)->endpoint().gate().set_limit(2);
        Request& newcomer = requests.ask(1);
        CHECK(second.said() == "app-1");
        CHECK(newcomer.said() == "waits");
    }
    SECTION("a raised limit is capacity too") {
        shop.pools->configure({OneWorker::with(managed(), 3)});
        shop.settle();
        CHECK(second.said() == "app-1");
        CHECK(third.said() == "app-1");
    }
    SECTION("so is another worker") {
        shop.up(2, 1);
        shop.ready(2);
        CHECK(second.said() == "app-2");
        CHECK(third.said() == "waits");
    }
}

TEST_CASE("how long a request waits depends on why it waits", "[upstream][pool]") {
    OneWorker shop;
    Requests requests{shop};
    Request& serving = requests.ask();
    Request& waiting = requests.ask(1);

    SECTION("ready but full: queue.timeout") {
        shop.pass(9990ms);
        CHECK(waiting.said() == "waits");
        shop.pass(40ms);
        CHECK(waiting.said() == "queue_timeout");
        CHECK(shop.pool().cells(1).queue_duration.sum.value() > 9'900'000'000u);
    }
    SECTION("none ready: hold, counted from when that began") {
        shop.pass(5s);
        shop.gone(1);
        Request& held = requests.ask(0);
        shop.pass(29970ms);
        CHECK(waiting.said() == "waits");
        CHECK(held.said() == "waits");
        shop.pass(60ms);
        CHECK(waiting.said() == "no_endpoint");
        CHECK(held.said() == "no_endpoint");
        CHECK(serving.admitted());
    }
    SECTION("a worker that comes back in time takes the held ones") {
        shop.gone(1);
        shop.pass(20s);
        CHECK(waiting.said() == "waits");
        shop.up(2, 0);
        shop.ready(2);
        CHECK(waiting.said() == "app-1");
    }
}

TEST_CASE("the clock of a condition starts with the condition", "[upstream][pool]") {
    Workshop shop{managed("app", 1)};
    Requests requests{shop};
    Request& first = requests.ask();
    Request& second = requests.ask();
    shop.pass(25s);  // held, none ready
    shop.up(1, 0);
    shop.ready(1);
    CHECK(first.said() == "app-1");
    CHECK(second.said() == "waits");
    shop.pass(9970ms);  // full for that long now
    CHECK(second.said() == "waits");
    shop.pass(60ms);
    CHECK(second.said() == "queue_timeout");
}

TEST_CASE("both limits together bound the wait when the pool flaps", "[upstream][pool]") {
    Workshop shop{managed("app", 1)};
    Requests requests{shop};
    shop.up(1, 0);
    Request& first = requests.ask();
    Request& second = requests.ask();
    const auto begin = shop.clock.now();
    shop.ready(1);
    CHECK(first.said() == "app-1");
    for (control::Incarnation next = 2; !second.done() && next < 100; ++next) {
        shop.pass(5s);
        shop.roster().worker_hung(1, next % 2 == 0);  // neither condition ever lasts long enough
        shop.settle();
    }
    CHECK(second.done());
    CHECK(shop.clock.now() - begin >= 40s);  // queue.timeout + hold
    CHECK(shop.clock.now() - begin <= 45s);
}

TEST_CASE("one bound holds for queued and held requests", "[upstream][pool]") {
    Workshop shop;
    Requests requests{shop};
    for (int i = 0; i < 4; ++i) CHECK(requests.ask(i % 2 == 0 ? 0 : 1).said() == "waits");
    CHECK(requests.ask().said() == "queue_full");
    CHECK(shop.pool().cells(0).errors[static_cast<std::size_t>(errc::queue_full)].value() == 1);
    shop.up(1, 0);
    shop.ready(1);
    CHECK(requests.all[0].said() == "app-1");
    CHECK(requests.all[1].said() == "app-1");
    CHECK(requests.all[2].said() == "waits");
    CHECK(requests.ask().said() == "waits");
}

TEST_CASE("a pool that is given up fails what waits, and newcomers at once, unless something is ready",
          "[upstream][pool]") {
    Workshop shop;
    Requests requests{shop};
    Request& held = requests.ask();
    shop.say(control::PoolState::crash_looping);
    CHECK(held.said() == "pool_down");
    CHECK(requests.ask().said() == "pool_down");

    shop.up(1, 0);
    shop.ready(1);
    CHECK(requests.ask().said() == "app-1");
    CHECK(requests.ask().said() == "app-1");
    Request& queued = requests.ask();
    CHECK(queued.said() == "waits");
    shop.gone(1);
    CHECK(queued.said() == "pool_down");
}

TEST_CASE("with waiting switched off the answer comes at once", "[upstream][pool]") {
    auto pool = managed("app", 1);
    SECTION("no hold") {
        pool.hold = 0s;
        Workshop shop{pool};
        Requests requests{shop};
        CHECK(requests.ask().said() == "no_endpoint");
    }
    SECTION("no queue") {
        pool.queue.size = 0;
        OneWorker shop{1, pool};
        Requests requests{shop};
        CHECK(requests.ask().said() == "app-1");
        CHECK(requests.ask().said() == "queue_full");
    }
    SECTION("no time in the queue") {
        pool.queue.timeout = 0s;
        OneWorker shop{1, pool};
        Requests requests{shop};
        CHECK(requests.ask().said() == "app-1");
        CHECK(requests.ask().said() == "queue_timeout");
    }
}

TEST_CASE("a request may stop waiting, and its place in the line closes up", "[upstream][pool]") {
    OneWorker shop;
    Requests requests{shop};
    Request& serving = requests.ask();
    Request& goer = requests.ask(1);
    Request& stayer = requests.ask(0);

    SECTION("cancelled while it waits") {
        goer.cancel.cancel();
        shop.settle();
        CHECK(goer.said() == "cancelled");
        serving.release();
        shop.settle();
        CHECK(stayer.said() == "app-1");
    }
    SECTION("cancelled when the place is already on its way to it") {
        serving.release();  // grants to goer, whose reactor has not run yet
        goer.cancel.cancel();
        shop.settle();
        CHECK(goer.said() == "cancelled");
        CHECK(stayer.said() == "app-1");
        CHECK(shop.status("app-1")->in_flight == 1);
    }
    SECTION("cancelled before it asks") {
        Request& late = requests.all.emplace_back();
        late.cancel.cancel();
        shop.reactors[0].spawn(ask(shop.pool(), shop.reactors[0], {.cancel = &late.cancel}, late));
        CHECK(late.said() == "cancelled");
    }
    SECTION("the reactor shuts down") {
        shop.reactors[1].cancel_all();
        shop.settle();
        CHECK(goer.said() == "cancelled");
        CHECK(stayer.said() == "waits");
    }
}

TEST_CASE("a destroyed waiter leaves nothing behind", "[upstream][pool]") {
    OneWorker shop;
    Requests requests{shop};
    Request& serving = requests.ask();
    Request doomed;
    io::Task<void> frame = ask(shop.pool(), shop.reactors[1], {}, doomed);
    frame.start();
    Request& next = requests.ask();
    REQUIRE(shop.pool().waiting() == 2);

    SECTION("while it waits") {
        frame = {};
        CHECK(shop.pool().waiting() == 1);
        serving.release();
    }
    SECTION("when the place is already on its way to it") {
        serving.release();
        frame = {};
    }
    shop.settle();
    CHECK_FALSE(doomed.done());
    CHECK(next.said() == "app-1");
    CHECK(shop.status("app-1")->in_flight == 1);
    next.release();
    CHECK(shop.status("app-1")->in_flight == 0);
}

TEST_CASE("a request that failed at an endpoint goes elsewhere if it can", "[upstream][pool]") {
    Workshop shop{managed("app", 8)};
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& first = requests.ask();
    const EndpointId failed = (*first.outcome)->endpoint().id();
    CHECK(requests.ask(0, {.avoid = failed}).said() == "app-1");  // there is no other
    shop.up(2, 1), shop.ready(2);
    for (int i = 0; i < 7; ++i) CHECK(requests.ask(0, {.avoid = failed}).said() == "app-2");
    CHECK(requests.ask(0, {.avoid = 999}).done());
}

TEST_CASE("a tunnel frees its place for the next request", "[upstream][pool]") {
    OneWorker shop;
    Requests requests{shop};
    Request& upgrade = requests.ask();
    Request& next = requests.ask();
    CHECK(next.said() == "waits");
    Tunnel tunnel = (*upgrade.outcome)->to_tunnel();
    shop.settle();
    CHECK(next.said() == "app-1");
    CHECK(shop.status("app-1")->tunnels == 1);
    CHECK(shop.pools->busy() == 2);
    tunnel.end();
    tunnel.end();
    CHECK(shop.status("app-1")->tunnels == 0);
}

TEST_CASE("round robin and weights work through the pool", "[upstream][pool]") {
    config::Pool pool = managed();
    pool.managed = false;
    pool.balance = config::Balance::round_robin;
    pool.max_in_flight = 100;
    pool.endpoints = {external("a", "127.0.0.1", 1), external("b", "127.0.0.1", 2)};
    pool.endpoints[1].weight = 2;
    Workshop shop{pool};
    Requests requests{shop};
    std::string order;
    for (int i = 0; i < 6; ++i) order += requests.ask().said();
    CHECK(order == "abbabb");
}
