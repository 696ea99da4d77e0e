// SPDX-License-Identifier: Apache-2.0
#include "proxy/lanes.hpp"

#include <catch2/catch.hpp>
#include <future>
#include <stdexcept>
#include <thread>

namespace edgeproxy::proxy {
namespace {

std::shared_ptr<const Snapshot> empty_snapshot(admin::Registry& registry) {
    return make_snapshot(std::make_shared<config::Config>(),
                         {registry, nullptr, [](const auto&) { return nullptr; }, [](const auto&) { return nullptr; }});
}

io::Task<void> fails() {
    throw std::runtime_error("a bug");
    co_return;
}

TEST_CASE("an exception that nobody has caught is counted", "[lanes]") {
    io::Clock clock = io::Clock::real();
    config::Log log;
    admin::Registry registry;
    Lanes lanes(1, clock, log, [](const auto&) {});
    lanes.start(empty_snapshot(registry), {}, nullptr);
    io::Reactor& reactor = *lanes.reactors()[0];
    reactor.post([&reactor] { reactor.spawn(fails()); });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (lanes.cells()[0]->exceptions() == 0 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    CHECK(lanes.cells()[0]->exceptions() == 1);
    lanes.stop();
}

TEST_CASE("lanes are not empty before each of them has begun its drain", "[lanes]") {
    io::Clock clock = io::Clock::real();
    config::Log log;
    admin::Registry registry;
    Lanes lanes(2, clock, log, [](const auto&) {});
    lanes.start(empty_snapshot(registry), {}, nullptr);
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
