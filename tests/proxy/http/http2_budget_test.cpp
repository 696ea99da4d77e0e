// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_budget.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace edgeproxy::http {
namespace {

using namespace std::chrono_literals;
const Http2Budget::TimePoint begin{1h};

constexpr std::uint8_t data = 0, headers = 1, priority = 2, rst = 3, settings = 4, ping = 6, go_away = 7, update = 8,
                       continuation = 9, priority_update = 16, unknown = 77;
constexpr std::uint8_t end_stream = 1;

Http2FrameHead frame(std::uint8_t type, std::uint32_t length = 0, std::uint8_t flags = 0, std::uint32_t word = 0) {
    return {.length = length, .stream = 1, .type = type, .flags = flags, .word = word};
}

struct Case {
    const char* name;
    Http2FrameHead frame;
    std::uint64_t streams;  ///< opened before
    unsigned free;          ///< so many at once cost nothing
    Glitch glitch;
};

}  // namespace

TEST_CASE("who acknowledges and measures what was delivered owes nothing", "[http][h2]") {
    // What gRPC clients do after every small message.
    Http2Budget budget;
    for (unsigned call = 0; call < 5000; ++call) {
        budget.opened();
        budget.delivered();
        budget.frame(frame(update, 4, 0, 60), begin);
        budget.frame(frame(update, 4, 0, 60), begin);
        budget.frame(frame(ping, 8), begin);
    }
    CHECK_FALSE(budget.has_news());
    // What was earned is bounded, and more than was earned costs as ever.
    for (unsigned i = 0; i < 5000; ++i) budget.delivered();
    for (unsigned i = 0; i < Http2Budget::most_free + 100; ++i) budget.frame(frame(update, 4, 0, 1), begin);
    CHECK_FALSE(budget.has_news());
    for (unsigned i = 0; i < 201; ++i) budget.frame(frame(update, 4, 0, 1), begin);
    CHECK(budget.spent());
}

TEST_CASE("what frames cost, and how many of them nothing", "[http][h2]") {
    const std::vector<Case> cases{
        {"PING", frame(ping, 8), 0, 10, Glitch::ping},
        {"SETTINGS", frame(settings, 6), 0, 5, Glitch::settings},
        {"DATA without a byte", frame(data), 1, 0, Glitch::empty_data},
        {"PRIORITY before any stream", frame(priority, 5), 0, 0, Glitch::priority},
        {"PRIORITY of three streams", frame(priority, 5), 3, 6, Glitch::priority},
        {"PRIORITY_UPDATE of three streams", frame(priority_update, 9), 3, 6, Glitch::priority},
        {"RST_STREAM of three streams", frame(rst, 4), 3, 3, Glitch::client_reset},
        {"WINDOW_UPDATE by one byte", frame(update, 4, 0, 1), 1, 100, Glitch::window_update},
        {"WINDOW_UPDATE by nearly nothing", frame(update, 4, 0, 1023), 1, 100, Glitch::window_update},
        {"GOAWAY", frame(go_away, 8), 0, 1, Glitch::goaway},
        {"a frame that nobody knows", frame(unknown, 3), 0, 0, Glitch::unknown_frame},
    };
    for (const Case& one : cases) {
        INFO(one.name);
        Http2Budget budget;
        for (std::uint64_t i = 0; i < one.streams; ++i) budget.opened();
        for (unsigned i = 0; i < one.free; ++i) budget.frame(one.frame, begin);
        CHECK_FALSE(budget.has_news());
        for (unsigned i = 0; i < 200; ++i) budget.frame(one.frame, begin);
        CHECK(budget.take_count(one.glitch) == 200);
        CHECK_FALSE(budget.spent());
        budget.frame(one.frame, begin);
        CHECK(budget.spent());
        CHECK(budget.ended_by() == one.glitch);
        CHECK(budget.take_count(one.glitch) == 1);
    }
}

TEST_CASE("what costs nothing however often it comes", "[http][h2]") {
    const std::vector<Http2FrameHead> cases{frame(headers, 10), frame(data, 1), frame(data, 0, end_stream),
                                            frame(update, 4, 0, 1024), frame(update, 4, 0, 65536)};
    for (const Http2FrameHead& one : cases) {
        INFO(static_cast<int>(one.type));
        Http2Budget budget;
        for (unsigned i = 0; i < 10'000; ++i) budget.frame(one, begin);
        CHECK_FALSE(budget.has_news());
    }
}

TEST_CASE("the ninth CONTINUATION of a head ends it", "[http][h2]") {
    Http2Budget budget;
    for (unsigned head = 0; head < 100; ++head) {
        budget.frame(frame(headers, 10), begin);
        for (unsigned i = 0; i < 8; ++i) budget.frame(frame(continuation), begin);
    }
    CHECK_FALSE(budget.spent());
    budget.frame(frame(continuation), begin);
    CHECK(budget.spent());
    CHECK(budget.ended_by() == Glitch::continuation);
}

TEST_CASE("kinds of waste share one purse, which fills again", "[http][h2]") {
    Http2Budget budget;
    CHECK_FALSE(budget.strained(begin));
    for (unsigned i = 0; i < 75; ++i) {
        budget.spend(Glitch::client_reset, begin);
        budget.spend(Glitch::server_reset, begin);
    }
    CHECK_FALSE(budget.strained(begin));
    budget.spend(Glitch::unknown_frame, begin);
    CHECK(budget.strained(begin));             // three quarters are gone ...
    CHECK_FALSE(budget.strained(begin + 1s));  // ... and some is forgiven
    for (unsigned i = 0; i < 49; ++i) budget.spend(Glitch::client_reset, begin);
    CHECK_FALSE(budget.spent());
    for (unsigned i = 0; i < 20; ++i) budget.spend(Glitch::client_reset, begin + 1s);
    CHECK_FALSE(budget.spent());
    budget.spend(Glitch::server_reset, begin + 1s);
    CHECK(budget.ended_by() == Glitch::server_reset);
    budget.spend(Glitch::ping, begin + 1h);
    CHECK(budget.ended_by() == Glitch::server_reset);  // it does not come back
}

TEST_CASE("what is had for nothing comes back as well", "[http][h2]") {
    Http2Budget budget;
    for (unsigned second = 0; second < 60; ++second) {
        for (unsigned i = 0; i < 10; ++i) budget.frame(frame(ping, 8), begin + second * 1s);
        if (second % 2 == 0) budget.frame(frame(settings, 6), begin + second * 1s);
        for (unsigned i = 0; i < 100; ++i) budget.frame(frame(update, 4, 0, 1), begin + second * 1s);
    }
    CHECK_FALSE(budget.has_news());
}

TEST_CASE("a budget may be smaller or larger", "[http][h2]") {
    Http2Budget budget{20, 1};
    for (unsigned i = 0; i < 20; ++i) budget.spend(Glitch::ping, begin);
    CHECK_FALSE(budget.spent());
    CHECK(budget.strained(begin + 4s));
    CHECK_FALSE(budget.strained(begin + 6s));
    budget.spend(Glitch::ping, begin);
    CHECK(budget.spent());
}

TEST_CASE("every kind of waste has a word of its own", "[http][h2]") {
    for (std::size_t i = 0; i < glitches; ++i) {
        CHECK_FALSE(word(static_cast<Glitch>(i)).empty());
        for (std::size_t j = 0; j < i; ++j) CHECK(word(static_cast<Glitch>(i)) != word(static_cast<Glitch>(j)));
    }
}

}  // namespace edgeproxy::http
