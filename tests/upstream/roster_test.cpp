// SPDX-License-Identifier: Apache-2.0
#include "upstream/roster.hpp"

#include <catch2/catch.hpp>

#include "tests/upstream/workshop.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

using Told = std::vector<std::string>;

config::Pool externals(std::vector<config::Endpoint> endpoints) {
    config::Pool pool = managed();
    pool.managed = false;
    pool.max_in_flight = 100;
    pool.endpoints = std::move(endpoints);
    return pool;
}

config::Pool two() {
    return externals({external("a", "127.0.0.1", 1), external("b", "127.0.0.1", 2)});
}

/// Lets an endpoint fail a request `times` times in a row.
void fail(Workshop& shop, Request& request, int times, errc reason = errc::reset) {
    for (int i = 0; i < times; ++i) (*request.outcome)->failed(reason);
    shop.settle();
}

}  // namespace

TEST_CASE("a worker's life as the roster sees it", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(7, 2);
    CHECK(shop.state("app-3") == "starting");
    CHECK_FALSE(shop.pool().has_ready());
    shop.ready(7);
    CHECK(shop.state("app-3") == "ready");
    CHECK(shop.pool().has_ready());
    Request& request = requests.ask();
    shop.drain(7);
    CHECK(shop.state("app-3") == "draining");
    CHECK_FALSE(shop.pool().has_ready());
    CHECK(shop.told.empty());
    request.release();
    shop.settle();
    CHECK(shop.told == Told{"drained 7 left 0"});
    CHECK(shop.state("app-3") == "draining");
    shop.gone(7);
    shop.pools->tick();
    CHECK(shop.state("app-3") == "none");
    CHECK(shop.told.size() == 1);
}

TEST_CASE("the name under which a request is counted outlives its endpoint", "[upstream][roster]") {
    // The log has it when the place has been given back, and the endpoint is gone.
    Workshop shop;
    Requests requests{shop};
    shop.up(7, 2);
    shop.ready(7);
    Request& request = requests.ask();
    const std::string_view name = (*request.outcome)->cells().name;
    CHECK(name == "app-3");
    CHECK(name.data() != (*request.outcome)->endpoint().name().data());
    request.release();
    shop.gone(7);
    shop.settle();
    shop.pools->tick();
    REQUIRE(shop.state("app-3") == "none");
    CHECK(name == "app-3");
}

TEST_CASE("a worker that dies keeps its endpoint alive until the last of its requests is gone", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& request = requests.ask();
    CHECK_FALSE((*request.outcome)->endpoint().gone());
    shop.gone(1);
    shop.pass(1s);
    CHECK((*request.outcome)->endpoint().gone());
    CHECK(shop.state("app-1") == "down");
    request.release();
    shop.pass(100ms);
    CHECK(shop.state("app-1") == "none");
}

TEST_CASE("a slot's counters survive its workers", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    for (control::Incarnation incarnation = 1; incarnation <= 3; ++incarnation) {
        shop.up(incarnation, 0), shop.ready(incarnation);
        Request& request = requests.ask();
        (*request.outcome)->answered(200, 3ms);
        CHECK(shop.status("app-1")->requests == 1);  // of this incarnation
        request.release();
        shop.gone(incarnation);
        shop.pass(100ms);
    }
    const auto series = shop.roster().series();
    REQUIRE(series.size() == 1);
    CHECK(series[0].name == "app-1");
    CHECK(series[0].cells.size() == 3);  // two reactors and the control thread
    CHECK(series[0].cells[0].responses[2].value() == 3);
    CHECK(series[0].cells[0].response_duration.buckets[2].value() == 3);  // 2.5 ms < 3 ms <= 5 ms
}

TEST_CASE("two incarnations of a slot may overlap", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& old = requests.ask();
    shop.up(2, 0), shop.ready(2);
    shop.drain(1);
    Request& fresh = requests.ask();
    CHECK((*old.outcome)->endpoint().identity().incarnation == 1);
    CHECK((*fresh.outcome)->endpoint().identity().incarnation == 2);
    const auto stats = shop.pools->stats();
    REQUIRE(stats.workers.size() == 2);
    CHECK(stats.workers[0].in_flight == 1);
    CHECK(stats.workers[1].requests == 1);
}

TEST_CASE("messages about nobody are nothing", "[upstream][roster]") {
    Workshop shop;
    shop.ready(9), shop.drain(9), shop.gone(9);
    shop.roster().worker_hung(9, true);
    shop.up(3, 0, "unknown");
    shop.say(control::PoolState::stopped, "unknown");
    shop.up(1, 0), shop.up(1, 0);
    CHECK(shop.roster().status().size() == 1);
    CHECK(shop.told.empty());
}

TEST_CASE("a worker that refuses is passed over until it is known to live", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& refused = requests.ask();
    (*refused.outcome)->failed(errc::connect_refused);
    refused.release();
    Request& next = requests.ask();
    CHECK(next.said() == "waits");  // held: a dead worker attracts nobody
    CHECK(shop.state("app-1") == "unhealthy");

    SECTION("the master says that it died, and brings another") {
        shop.gone(1);
        shop.up(2, 0), shop.ready(2);
        CHECK(next.said() == "app-1");
    }
    SECTION("the master says nothing: it is tried again") {
        shop.pass(980ms);
        CHECK(next.said() == "waits");
        shop.pass(40ms);
        CHECK(next.said() == "app-1");
    }
}

TEST_CASE("an external endpoint that refuses is left to passive health", "[upstream][roster]") {
    Workshop shop{two()};
    Requests requests{shop};
    Request& refused = requests.ask();
    const std::string name = refused.said();
    fail(shop, refused, 4, errc::connect_refused);
    CHECK(shop.state(name) == "ready");
    fail(shop, refused, 1, errc::connect_refused);
    CHECK(shop.state(name) == "ready ejected");
}

TEST_CASE("an endpoint that fails five requests in a row is out for ten seconds", "[upstream][roster]") {
    Workshop shop{two()};
    Requests requests{shop};
    Request& a = requests.ask();
    Request& b = requests.ask();
    fail(shop, a, 4);
    (*a.outcome)->answered(200, 1ms);
    fail(shop, a, 4);
    CHECK(shop.state("a") == "ready");
    CHECK(shop.state("b") == "ready");
    fail(shop, a, 1);
    CHECK(shop.state(a.said()) == "ready ejected");
    for (int i = 0; i < 5; ++i) CHECK(requests.ask().said() == b.said());

    fail(shop, b, 20);  // never the last, never more than half
    CHECK(shop.state(b.said()) == "ready");
    shop.pass(9950ms);
    CHECK(shop.state(a.said()) == "ready ejected");
    shop.pass(100ms);
    CHECK(shop.state(a.said()) == "ready");
}

TEST_CASE("what passive health listens to", "[upstream][roster]") {
    const auto [reason, counts] = GENERATE(table<errc, bool>({{errc::connect_timeout, true},
                                                              {errc::connect_failed, true},
                                                              {errc::closed_early, true},
                                                              {errc::reset, true},
                                                              {errc::response_timeout, true},
                                                              {errc::bad_response, true},
                                                              {errc::response_truncated, true},
                                                              {errc::stale_connection, false},
                                                              {errc::cancelled, false}}));
    CAPTURE(name(reason));
    Workshop shop{two()};
    Requests requests{shop};
    Request& a = requests.ask();
    fail(shop, a, 5, reason);
    CHECK(shop.state(a.said()) == (counts ? "ready ejected" : "ready"));
    CHECK((*a.outcome)->cells().errors[static_cast<std::size_t>(reason)].value() == 5);
}

TEST_CASE("gateway errors count as failures, the application's own errors do not", "[upstream][roster]") {
    const auto [status, counts] = GENERATE(
        table<unsigned, bool>({{500, false}, {502, true}, {503, true}, {504, true}, {404, false}, {101, false}}));
    Workshop shop{two()};
    Requests requests{shop};
    Request& a = requests.ask();
    for (int i = 0; i < 5; ++i) (*a.outcome)->answered(status, 1ms);
    shop.settle();
    CHECK(shop.state(a.said()) == (counts ? "ready ejected" : "ready"));
}

TEST_CASE("with less than half the pool healthy ejections are ignored", "[upstream][roster]") {
    auto pool = externals({external("a", "127.0.0.1", 1), external("b", "127.0.0.1", 2), external("c", "127.0.0.1", 3),
                           external("d", "127.0.0.1", 4)});
    Workshop shop{pool};
    Requests requests{shop};
    Request& a = requests.ask();
    fail(shop, a, 5);
    CHECK(shop.state(a.said()) == "ready ejected");
    int sick = 0;
    for (const auto& status : shop.roster().status()) {
        if (status.ejected || sick == 2) continue;
        ++sick;
        for (int i = 0; i < 3; ++i) shop.roster().probed(status.identity.id, false);
    }
    CHECK(shop.state(a.said()) == "ready");
}

TEST_CASE("active health takes an endpoint out and brings it back", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    const EndpointId id = shop.status("app-1")->identity.id;
    shop.roster().probed(id, false);
    shop.roster().probed(id, false);
    CHECK(shop.state("app-1") == "ready");
    shop.roster().probed(id, false);
    CHECK(shop.state("app-1") == "unhealthy");
    Request& held = requests.ask();
    CHECK(held.said() == "waits");
    shop.roster().probed(id, true);
    shop.settle();
    CHECK(held.said() == "app-1");
    CHECK(shop.told == Told{"sick 1", "healthy 1"});
    CHECK(shop.roster().series()[0].cells.back().probes_failed.value() == 3);
    CHECK(shop.roster().series()[0].cells.back().probes_passed.value() == 1);
}

TEST_CASE("a worker that hangs takes nothing new until it reads again", "[upstream][roster]") {
    Workshop shop;
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    shop.roster().worker_hung(1, true);
    Request& held = requests.ask();
    CHECK(held.said() == "waits");
    shop.roster().worker_hung(1, false);
    shop.settle();
    CHECK(held.said() == "app-1");
}

TEST_CASE("a replaced worker starts slowly beside others; the first ones and the only one do not",
          "[upstream][roster]") {
    Workshop shop{managed("app", 200)};
    Requests requests{shop};
    const auto share_of_second = [&] {
        int count = 0;
        for (int i = 0; i < 110; ++i) count += requests.ask().said() == "app-2" ? 1 : 0;
        for (auto& request : requests.all) request.release();
        return count;
    };
    shop.up(1, 0), shop.ready(1);
    shop.up(2, 1), shop.ready(2);
    CHECK(share_of_second() == Approx(55).margin(1));
    shop.gone(2);
    shop.up(3, 1), shop.ready(3);
    CHECK(share_of_second() == Approx(10).margin(2));
    shop.pass(10s);
    CHECK(share_of_second() == Approx(55).margin(1));
    shop.gone(2), shop.gone(3);
    shop.up(4, 1, "app", true), shop.ready(4);  // served before this proxy knew it
    CHECK(share_of_second() == Approx(55).margin(1));
}

TEST_CASE("a reload changes external endpoints under way", "[upstream][roster]") {
    Workshop shop{two()};
    Requests requests{shop};
    Request& a = requests.ask();
    Request& b = requests.ask();
    REQUIRE(a.said() != b.said());
    const std::string stays = a.said(), goes = b.said();
    const std::uint16_t port = (*a.outcome)->endpoint().identity().address.port;
    const EndpointId id = shop.status(stays)->identity.id;

    shop.pools->configure({externals({external(stays, "127.0.0.1", port), external("c", "127.0.0.1", 3)})});
    shop.settle();
    CHECK(shop.status(stays)->identity.id == id);
    CHECK(shop.state(goes) == "draining");
    CHECK(shop.state("c") == "ready");
    for (int i = 0; i < 10; ++i) CHECK(requests.ask().said() != goes);
    b.release();
    shop.pass(10ms);
    shop.pass(10ms);
    CHECK(shop.state(goes) == "none");

    SECTION("a pool that leaves the configuration drains and may come back") {
        shop.pools->configure({});
        shop.pools->close_others({});
        shop.settle();
        CHECK(requests.ask().said() == "pool_down");
        shop.pools->configure({two()});
        shop.settle();
        CHECK(requests.ask().admitted());
    }
}

TEST_CASE("at the final stop nobody waits any longer, what is served is finished", "[upstream][roster]") {
    Workshop shop{managed("app", 1)};
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    Request& serving = requests.ask(0);
    Request& waiting = requests.ask(1);
    shop.pools->close();
    shop.settle();
    CHECK(waiting.said() == "pool_down");
    CHECK(serving.said() == "app-1");
    CHECK(shop.pools->busy() == 1);
    serving.release();
    CHECK(shop.pools->busy() == 0);

    shop.gone(1);
    CHECK(requests.ask().said() == "pool_down");
    shop.pools->configure({managed("app", 1)});  // open again: there is hope
    shop.settle();
    CHECK(requests.ask().said() == "waits");
}

TEST_CASE("an endpoint that rests gets nothing new, whoever the worker is, until it is woken", "[upstream][roster]") {
    Workshop shop{managed("app", 2)};
    Requests requests{shop};
    shop.up(1, 0), shop.ready(1);
    shop.up(2, 1), shop.ready(2);
    shop.roster().rest("app-1", true);
    shop.settle();
    CHECK(requests.ask().said() == "app-2");
    CHECK(requests.ask().said() == "app-2");
    Request& late = requests.ask();
    CHECK(late.said() == "waits");
    CHECK(shop.state("app-1") == "draining");
    shop.gone(1);
    shop.up(3, 0), shop.ready(3);
    shop.settle();
    CHECK(late.said() == "waits");
    shop.roster().rest("app-1", false);
    shop.settle();
    CHECK(late.said() == "app-1");
}

TEST_CASE("every address of a name becomes an endpoint, and the last good answer is kept", "[upstream][roster]") {
    Workshop shop{externals({external("db", "app.internal", 8000)})};
    Requests requests{shop};
    const auto addresses = [](std::vector<std::string> hosts) {
        Resolved result;
        for (auto& host : hosts) result.addresses.push_back({config::Address::Kind::tcp, host, 0});
        return result;
    };
    CHECK(shop.pools->names_due() == std::vector<std::string>{"app.internal"});
    CHECK(shop.pools->names_due().empty());
    Request& held = requests.ask();
    CHECK(held.said() == "waits");
    shop.pools->resolved("app.internal", addresses({"10.0.0.1", "10.0.0.2"}));
    shop.settle();
    CHECK(held.said() == "db");
    CHECK(shop.roster().status().size() == 2);
    CHECK(shop.roster().status()[0].identity.address.to_string() == "10.0.0.1:8000");
    CHECK(shop.roster().series().size() == 1);

    shop.pass(29990ms);
    CHECK(shop.pools->names_due().empty());
    shop.pass(20ms);
    CHECK(shop.pools->names_due().size() == 1);
    shop.pools->resolved("app.internal", {{}, "Temporary failure"});
    CHECK(shop.roster().status().size() == 2);
    shop.pass(5s);
    CHECK(shop.pools->names_due().size() == 1);
    shop.pools->resolved("app.internal", addresses({"10.0.0.2"}));
    held.release();
    shop.pass(20ms);
    REQUIRE(shop.roster().status().size() == 1);
    CHECK(shop.roster().status()[0].identity.address.host == "10.0.0.2");
}

TEST_CASE("the resolver finds this machine and says why it does not find others", "[upstream][dns]") {
    const Resolved here = resolve("localhost");
    REQUIRE_FALSE(here.addresses.empty());
    CHECK(here.addresses[0].is_loopback());
    CHECK(here.error.empty());
    const Resolved nowhere = resolve("nowhere.invalid");
    CHECK(nowhere.addresses.empty());
    CHECK_FALSE(nowhere.error.empty());
}
