// SPDX-License-Identifier: Apache-2.0
#include "tests/proxy/http2_served.hpp"
#include "tests/tls/io/short_heap.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

TEST_CASE("a connection without memory to read ends, and its streams end before it", "[proxy][h2]") {
    Served served;
    io::Reactor& reactor = served.lane.reactor;
    const nghttp2_settings_entry closed_window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    nghttp2_submit_settings(served.client.raw(), NGHTTP2_FLAG_NONE, &closed_window, 1);
    const auto stuck = served.get("/large");
    REQUIRE(served.got(stuck).head.at(0).second == "200");
    REQUIRE(reactor.spawned() == 2);

    served.client.request(head("/small"));
    const std::string up = served.client.output();
    REQUIRE(::send(served.far.get(), up.data(), up.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(up.size()));
    reactor.buffers().trim();
    {
        const io::test::NoMemory none;
        reactor.run_once(0ns);
    }
    served.settle();
    CHECK(reactor.exceptions() >= 1);
    CHECK(reactor.spawned() == 0);
    CHECK(served.lane.open == 0);
}
