// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/access_log.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace edgeproxy;
using namespace edgeproxy::admin;

namespace {

std::vector<std::string> paths_of(AccessLog& log) {
    std::vector<std::string> paths;
    log.drain([&](const ExchangeRecord& record) { paths.emplace_back(record.path); });
    return paths;
}

}  // namespace

TEST_CASE("a record outlives the bytes that it was made of", "[admin][access]") {
    AccessLog log(1);
    {
        std::string path = "/items/7", agent = "curl/8", id = "abc", query = "a=1";
        ExchangeRecord record;
        record.path = path;
        record.query = query;
        record.user_agent = agent;
        record.request_id = id;
        record.status = 204;
        record.route = "api";
        log.write(0, record);
        path.assign(path.size(), 'x');
        agent.assign(agent.size(), 'x');
        id.assign(id.size(), 'x');
        query.assign(query.size(), 'x');
    }
    std::size_t seen = log.drain([&](const ExchangeRecord& record) {
        CHECK(record.path == "/items/7");
        CHECK(record.query == "a=1");
        CHECK(record.user_agent == "curl/8");
        CHECK(record.request_id == "abc");
        CHECK(record.status == 204);
        CHECK(record.route == "api");
        CHECK(record.referer.empty());
    });
    CHECK(seen == 1);
    CHECK(log.drain([](const ExchangeRecord&) {}) == 0);
}

TEST_CASE("texts are cut at their bound and say so", "[admin][access]") {
    AccessLog log(1);
    const std::string huge(100'000, 'a'), fitting(AccessLog::longest_text, 'b');
    ExchangeRecord record;
    record.path = huge;
    record.user_agent = fitting;
    record.host = huge;
    log.write(0, record);
    log.drain([&](const ExchangeRecord& copy) {
        CHECK(copy.path == std::string(AccessLog::longest_text - 3, 'a') + "...");
        CHECK(copy.user_agent == fitting);
        CHECK(copy.host.size() == AccessLog::longest_name);
    });
}

TEST_CASE("a full ring drops the newest and counts them, other lanes go on", "[admin][access]") {
    AccessLog log(2, 8192);
    for (int i = 0; i < 1000; ++i) {
        const std::string path = "/" + std::to_string(i);
        ExchangeRecord record;
        record.path = path;
        log.write(0, record);
    }
    ExchangeRecord other;
    other.path = "/other";
    log.write(1, other);
    const auto dropped = log.dropped();
    const auto paths = paths_of(log);
    CHECK(dropped + paths.size() == 1001);
    CHECK(dropped > 900);
    CHECK(paths.front() == "/0");
    CHECK(paths.back() == "/other");
}

TEST_CASE("the writer is woken once when it sleeps and once when a ring is half full", "[admin][access]") {
    AccessLog log(1, 64 * 1024);
    int woken = 0;
    log.on_records([&] { ++woken; });
    const ExchangeRecord record;
    REQUIRE(log.sleep());
    log.write(0, record);
    log.write(0, record);
    CHECK(woken == 1);
    CHECK_FALSE(log.sleep());
    paths_of(log);
    for (int i = 0; i < 1000; ++i) log.write(0, record);
    CHECK(woken == 2);
    paths_of(log);
    log.write(0, record);
    CHECK(woken == 2);
    paths_of(log);
    CHECK(log.sleep());
    log.write(0, record);
    CHECK(woken == 3);
}

TEST_CASE("a writer that sleeps only when nothing waits misses no record", "[admin][access]") {
    constexpr int lanes = 2, most = 20'000;
    AccessLog log(lanes, 1024 * 1024);
    std::atomic<int> calls{0};
    log.on_records([&] {
        calls.fetch_add(1);
        calls.notify_one();
    });
    std::vector<std::thread> writers;
    for (unsigned lane = 0; lane < lanes; ++lane) {
        writers.emplace_back([&log, lane] {
            const ExchangeRecord record;
            for (int i = 0; i < most; ++i) {
                log.write(lane, record);
                if (i % 64 == 0) std::this_thread::yield();
            }
        });
    }
    std::uint64_t taken = 0;
    while (taken + log.dropped() < lanes * most) {
        const int before = calls.load();
        taken += log.drain([](const ExchangeRecord&) {});
        // Would hang here, and so fail by the test's time limit, if a record came in unnoticed.
        if (taken + log.dropped() < lanes * most && log.sleep()) calls.wait(before);
    }
    for (auto& writer : writers) writer.join();
    CHECK(taken + log.dropped() == lanes * most);
}
