// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/upstream/counted_heap.hpp"
#include "tests/upstream/workshop.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

io::Task<void> exchanges(Pool& pool, io::Reactor& reactor, int count, int& done) {
    for (int i = 0; i < count; ++i) {
        auto admission = co_await pool.admit(reactor);
        if (!admission) co_return;
        auto connection = admission->take_idle();
        if (connection == nullptr) co_return;
        admission->answered(200, 1ms);
        admission->give_back(std::move(connection));
        ++done;
    }
}

}  // namespace

TEST_CASE("an exchange allocates nothing in the pool once connections are there", "[upstream][pool]") {
    config::Pool pool = managed();
    pool.managed = false;
    pool.endpoints = {external("a", "127.0.0.1", 1)};
    Workshop shop{pool};
    io::Reactor& reactor = shop.reactors.front();
    Requests requests{shop};
    auto [ours, theirs] = io::socket_pair();
    {
        Request& first = requests.ask();
        auto connection = std::make_unique<UpstreamConnection>(std::make_unique<io::Socket>(reactor, std::move(ours)),
                                                               (*first.outcome)->cells());
        shop.settle();
        (*first.outcome)->give_back(std::move(connection));
        first.release();
    }
    int done = 0;
    reactor.spawn(exchanges(shop.pool(), reactor, 10, done));
    REQUIRE(done == 10);

    io::Task<void> many = exchanges(shop.pool(), reactor, 900, done);
    const auto before = allocations();
    many.start();
    const auto after = allocations();
    CHECK(done == 910);
    CHECK(after == before);
}
