// SPDX-License-Identifier: Apache-2.0
#include "config/log.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>

using namespace edgeproxy::config;

namespace {

std::chrono::system_clock::time_point at_noon() {
    return std::chrono::system_clock::time_point(std::chrono::hours(12));
}

std::vector<LogRecord> drained(Log& log) {
    std::vector<LogRecord> records;
    log.drain([&](LogRecord&& record) { records.push_back(std::move(record)); });
    return records;
}

}  // namespace

TEST_CASE("a record arrives as it was said", "[config][log]") {
    Log log{LogLevel::info, at_noon};
    log.info("worker_exit", "exited: signal 9", {{"pool", "app"}, {"pid", 4126}, {"forced", true}, {"load", 0.5}});

    const auto records = drained(log);
    REQUIRE(records.size() == 1);
    CHECK(records[0] == LogRecord{at_noon(),
                                  LogLevel::info,
                                  "worker_exit",
                                  "exited: signal 9",
                                  {{"pool", "app"}, {"pid", 4126}, {"forced", true}, {"load", 0.5}}});
    CHECK(drained(log).empty());
}

TEST_CASE("what is below the level is not kept, and the level may change", "[config][log]") {
    Log log{LogLevel::warn};
    log.info("a", "");
    log.error("b", "");
    log.set_level(LogLevel::trace);
    log.trace("c", "");

    const auto records = drained(log);
    REQUIRE(records.size() == 2);
    CHECK(records[0].event == "b");
    CHECK(records[1].event == "c");
    CHECK(to_word(LogLevel::warn) == "warn");
}

TEST_CASE("a full log drops the newest, counts it, and goes on after a drain", "[config][log]") {
    Log log;
    for (std::size_t i = 0; i < Log::log_capacity + 7; ++i) log.info("tick", "", {{"i", i}});
    CHECK(log.dropped() == 7);

    auto records = drained(log);
    REQUIRE(records.size() == Log::log_capacity);
    CHECK(records.front().fields[0].value == LogField::Value{std::int64_t{0}});
    CHECK(records.back().fields[0].value == LogField::Value{static_cast<std::int64_t>(Log::log_capacity - 1)});

    log.info("after", "");
    CHECK(drained(log).size() == 1);
}

TEST_CASE("long texts are cut and marked", "[config][log]") {
    Log log;
    const std::string endless(Log::longest_text * 2, 'x');
    log.info("e", endless, {{"line", endless}});

    const auto records = drained(log);
    CHECK(records[0].text.size() == Log::longest_text);
    CHECK(records[0].text.ends_with("x..."));
    CHECK(std::get<std::string>(records[0].fields[0].value).size() == Log::longest_text);
}

TEST_CASE("the writer is woken once for all that comes before its drain", "[config][log]") {
    Log log;
    int woken = 0;
    log.on_records([&] { ++woken; });
    log.debug("unwanted", "");
    CHECK(woken == 0);
    log.info("a", "");
    log.info("b", "");
    CHECK(woken == 1);
    drained(log);
    log.info("c", "");
    CHECK(woken == 2);
}

TEST_CASE("four threads push, one pops, each thread's order holds and nothing is lost or doubled", "[config][ring]") {
    constexpr unsigned threads = 4, each = 20'000;
    Ring<std::pair<unsigned, unsigned>> ring{64};
    std::vector<std::thread> producers;
    for (unsigned t = 0; t < threads; ++t) {
        producers.emplace_back([&ring, t] {
            for (unsigned i = 1; i <= each; ++i) {
                while (!ring.try_push({t, i})) std::this_thread::yield();
            }
        });
    }
    std::vector<unsigned> last(threads, 0);
    unsigned wrong = 0;
    for (unsigned seen = 0; seen < threads * each;) {
        const auto item = ring.try_pop();
        if (!item) {
            std::this_thread::yield();
            continue;
        }
        wrong += item->second != last[item->first] + 1;
        last[item->first] = item->second;
        ++seen;
    }
    for (auto& producer : producers) producer.join();
    CHECK(wrong == 0);
    CHECK_FALSE(ring.try_pop().has_value());
}

TEST_CASE("a ring lets go of what was popped", "[config][ring]") {
    Ring<std::shared_ptr<int>> ring{4};
    auto thing = std::make_shared<int>(1);
    REQUIRE(ring.try_push(std::shared_ptr<int>(thing)));
    ring.try_pop();
    CHECK(thing.use_count() == 1);
}
