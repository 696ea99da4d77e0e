// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::proxy {
namespace {

std::shared_ptr<const Snapshot> empty_snapshot() {
    admin::Registry registry;
    return make_snapshot(std::make_shared<config::Config>(),
                         {registry, nullptr, [](const auto&) { return nullptr; }, [](const auto&) { return nullptr; }});
}

TEST_CASE("a snapshot is given back once, when the last of a lane lets go of it", "[snapshot]") {
    std::vector<std::shared_ptr<const Snapshot>> back;
    const auto take_back = [&](std::shared_ptr<const Snapshot> last) { back.push_back(std::move(last)); };
    std::weak_ptr<const Snapshot> alive;
    {
        auto snapshot = empty_snapshot();
        alive = snapshot;
        SnapshotRef lane(std::move(snapshot), take_back);
        SnapshotRef exchange = lane;
        SnapshotRef moved = std::move(exchange);
        CHECK_FALSE(exchange);
        lane = SnapshotRef(empty_snapshot());  // reloaded
        CHECK(back.empty());
        CHECK(moved->routes.empty());
        moved.reset();
        REQUIRE(back.size() == 1);
        moved.reset();
        CHECK(back.size() == 1);
    }
    CHECK_FALSE(alive.expired());
    back.clear();
    CHECK(alive.expired());
}

TEST_CASE("a reference to itself or to nothing counts nothing", "[snapshot]") {
    unsigned back = 0;
    SnapshotRef one(empty_snapshot(), [&](const auto&) { ++back; });
    SnapshotRef& same = one;
    one = same;
    CHECK(one);
    SnapshotRef none;
    none.reset();
    one = none;
    CHECK_FALSE(one);
    CHECK(back == 1);
}

}  // namespace
}  // namespace edgeproxy::proxy
