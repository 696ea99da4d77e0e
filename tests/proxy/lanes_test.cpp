// SPDX-License-Identifier: Apache-2.0
#include "proxy/lanes.hpp"

#include <catch2/catch.hpp>
#include <future>

namespace edgeproxy::proxy {
namespace {

TEST_CASE("lanes are not empty before each of them has begun its drain", "[lanes]") {
    io::Clock clock = io::Clock::real();
    config::Log log;
    admin::Registry registry;
    Lanes lanes(2, clock, log, [](const auto&) {});
    lanes.start(
        make_snapshot(std::make_shared<config::Config>(),
                      {registry, nullptr, [](const auto&) { return nullptr; }, [](const auto&) { return nullptr; }}),
        {}, nullptr);
    std::promise<void> busy, free;
    lanes.reactors()[1]->post([&] {
        busy.set_value();
        free.get_future().wait();  // as a turn that takes long, in which connections may have been accepted
    });
    busy.get_future().wait();
    CHECK(lanes.open() == 0);

    lanes.drain({});
    std::promise<void> first;
    lanes.reactors()[0]->post([&] { first.set_value(); });
    first.get_future().wait();
    CHECK(lanes.open() == 1);

    free.set_value();
    std::promise<void> second;
    lanes.reactors()[1]->post([&] { second.set_value(); });
    second.get_future().wait();
    CHECK(lanes.open() == 0);
    lanes.stop();
}

}  // namespace
}  // namespace edgeproxy::proxy
