// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "proxy/http2_outlet.hpp"
#include "tests/proxy/http2_served.hpp"
#include "tests/tls/io/short_heap.hpp"
#include "tls/io/frame_pool.hpp"

using namespace edgeproxy;
using namespace edgeproxy::proxy;
using namespace edgeproxy::proxy::test;

namespace {

struct Word final : Http2Outlet::Source {
    std::size_t left = 5;
    io::error_code error;
    std::size_t write(std::span<char> out) override {
        const std::size_t size = std::min(out.size(), left);
        std::fill_n(out.begin(), size, 'x');
        left -= size;
        return size;
    }
    bool wants_room() const override { return false; }
    void sent(std::size_t, const io::error_code& outcome) override { error = outcome; }
    void moved() override {}
};

io::Task<void> joins(Http2Outlet& outlet, bool& joined) {
    co_await outlet.join();
    joined = true;
}

}  // namespace

TEST_CASE("an outlet without memory is broken, and joined all the same", "[proxy][h2]") {
    io::Clock clock = io::Clock::manual();
    io::Reactor reactor{0, clock};
    auto [near, far] = io::socket_pair();
    tls::Stream stream{std::make_unique<io::Socket>(reactor, std::move(near))};
    Word word;
    Http2Outlet outlet{stream, word};
    bool joined = false;
    io::Task<void> end = joins(outlet, joined);
    io::FramePool::trim();
    reactor.buffers().trim();
    bool with_buffer = false;
    SECTION("for its buffer") {}
    SECTION("for its frame") {
        with_buffer = true;
        outlet.push();
    }
    CHECK((outlet.held() > 0) == with_buffer);
    {
        const io::test::NoMemory none;
        end.start();
    }
    CHECK(joined);
    CHECK(outlet.broken());
    CHECK_FALSE(outlet.flushing());
    CHECK(outlet.held() == 0);
    CHECK(word.error == boost::system::errc::not_enough_memory);
}

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
