// SPDX-License-Identifier: Apache-2.0
// How much the pools of a reactor keep.
#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include "tls/io/buffer_pool.hpp"
#include "tls/io/high_water.hpp"

using namespace edgeproxy::io;

namespace {

void lend(HighWater& water, int times) {
    for (int i = 0; i < times; ++i) water.lent();
}

/// Gives `times` back; how many of them are kept.
std::size_t give_back(HighWater& water, int times) {
    std::size_t free = 0;
    for (int i = 0; i < times; ++i) free += water.returned(free) ? 1 : 0;
    return free;
}

}  // namespace

TEST_CASE("a pool keeps what was lent at the peak, for this while and the next", "[io][pools]") {
    HighWater water{4};
    lend(water, 1000);
    CHECK(give_back(water, 1000) == 1000);
    CHECK(water.pass() == 1000);
    lend(water, 10);
    CHECK(water.pass() == 4);  // ten are lent, and no more than ten were
    CHECK(give_back(water, 10) == 10);
    CHECK(water.pass() == 10);
    CHECK(water.pass() == 4);
}

TEST_CASE("at its peak a pool has room for nothing but its least", "[io][pools]") {
    HighWater water{4};
    lend(water, 100);
    CHECK(water.pass() == 4);
    CHECK(water.returned(0));
    CHECK(water.returned(4) == false);  // two of a hundred came back: two may wait, or the least
}

TEST_CASE("a steady load of any size allocates no buffer", "[io][pools]") {
    BufferPool pool;
    std::set<const char*> seen;
    for (int round = 0; round < 5; ++round) {
        std::vector<Buffer> lent;
        for (int i = 0; i < 1000; ++i) lent.push_back(pool.take_small());
        for (const Buffer& buffer : lent) seen.insert(buffer.data());
        lent.clear();
        pool.settle();
    }
    CHECK(seen.size() == 1000);
}
