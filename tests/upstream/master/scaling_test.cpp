// SPDX-License-Identifier: Apache-2.0
// Autoscaling on virtual time: a second of samples after the other.
#include "upstream/master/scaling.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
using control::ScaleDecision;

constexpr std::uint64_t mib = 1024 * 1024;
constexpr config::Autoscale usual{2, 6, 100ms, 3s, 20s, 80};

/// What happens in one second.
struct Second {
    std::uint64_t requests = 100, wait_ms = 0, waiting = 0, in_flight = 10;
    std::uint64_t used_mib = 500;
    bool settled = true;
};
constexpr Second idle{100, 0, 0, 2};
constexpr Second busy{100, 50, 1, 40};  // neither slow nor calm
constexpr Second slow{100, 150, 5, 40};
constexpr Second jammed{100, 800, 60, 40};
constexpr Second stuck{0, 0, 60, 40};  // nobody gets a place
constexpr Second starting{100, 800, 60, 40, 500, false};
constexpr Second full{100, 0, 0, 10, 900};  // memory
constexpr Second slow_and_full{100, 150, 5, 40, 790};

/// A pool whose workers do as they are told at once; tells what was decided: "3s up 3 queue_time".
struct Pool {
    config::Autoscale limits = usual;
    unsigned workers = 2;
    Scaling scaling{};
    Scaling::Sample sample{};
    int seconds = -1;
    std::vector<std::string> told{};

    void live(int count, const Second& second) {
        for (int i = 0; i < count; ++i) {
            ++seconds;
            sample.now += 1s;
            sample.workers = workers;
            sample.settled = second.settled;
            sample.requests += second.requests;
            sample.waited_us += second.requests * second.wait_ms * 1000;
            sample.waiting = second.waiting;
            sample.in_flight = second.in_flight;
            sample.room = 10;
            sample.memory_used = second.used_mib * mib;
            sample.memory_limit = 1000 * mib;
            sample.worker_bytes = 50 * mib;
            const Scaling::Verdict verdict = scaling.observe(sample, limits);
            workers = verdict.workers;
            if (!verdict.decision) continue;
            told.push_back(std::to_string(seconds) + "s " + control::direction(*verdict.decision) + " " +
                           std::to_string(workers) + " " + control::reason(*verdict.decision));
        }
    }
};

using Told = std::vector<std::string>;
struct Step {
    int seconds;
    Second second;
};

}  // namespace

TEST_CASE("autoscaling: stories second by second", "[scaling]") {
    struct Row {
        const char* story;
        unsigned workers;
        std::vector<Step> steps;
        Told told;
    };
    const std::vector<Row> rows{
        {"nothing to do", 2, {{200, idle}}, {}},
        {"between slow and calm nothing happens", 4, {{200, busy}}, {}},
        {"one more after three slow seconds, the next after three further ones",
         2,
         {{1, busy}, {7, slow}},
         {"3s up 3 queue_time", "6s up 4 queue_time"}},
        {"two slow seconds are no reason", 2, {{1, busy}, {2, slow}, {1, busy}, {2, slow}, {1, busy}}, {}},
        {"half as many more when it is bad", 4, {{1, busy}, {3, jammed}}, {"3s up 6 queue_time"}},
        {"never more than max, which is said", 6, {{1, busy}, {6, jammed}}, {"3s held 6 max", "6s held 6 max"}},
        {"nobody gets a place at all", 2, {{1, busy}, {3, stuck}}, {"3s up 3 queue_time"}},
        {"while workers start nothing is decided", 2, {{1, busy}, {2, slow}, {9, starting}, {2, slow}}, {}},
        {"slowness that outlasts the start counts from its end",
         2,
         {{1, busy}, {9, starting}, {3, slow}},
         {"12s up 3 queue_time"}},
        {"down one by one, each after its time, never below min",
         4,
         {{61, idle}},
         {"20s down 3 idle", "40s down 2 idle"}},
        {"a busy second keeps what there is", 3, {{19, idle}, {1, busy}, {19, idle}}, {}},
        {"up, and down only when it has been calm since",
         2,
         {{1, idle}, {3, slow}, {20, idle}},
         {"3s up 3 queue_time", "23s down 2 idle"}},
        {"what is in flight must fit into those that remain", 3, {{60, {100, 0, 0, 15}}}, {}},
        {"... with something to spare", 3, {{21, {100, 0, 0, 14}}}, {"20s down 2 idle"}},
        {"too much memory costs one after the other, down to min",
         4,
         {{1, busy}, {9, full}},
         {"3s down 3 memory", "6s down 2 memory"}},
        {"no further worker without memory for it", 2, {{1, busy}, {3, slow_and_full}}, {"3s held 2 memory"}},
    };
    for (const Row& row : rows) {
        INFO(row.story);
        Pool pool;
        pool.workers = row.workers;
        for (const Step& step : row.steps) pool.live(step.seconds, step.second);
        CHECK(pool.told == row.told);
    }
}

TEST_CASE("no more are added than there is memory for", "[scaling]") {
    Pool pool;
    pool.limits.max = 12;
    pool.workers = 8;
    pool.live(1, busy);
    pool.live(3, {100, 800, 60, 40, 700});  // 100 MiB are left, a worker has 50
    CHECK(pool.told == Told{"3s up 10 queue_time"});
}

TEST_CASE("where nothing is known of the memory it is no guard", "[scaling]") {
    Scaling scaling;
    Scaling::Sample sample{io::TimePoint{}, 2, true, 0, 0, 0, 5, 10, 0, 0, 50 * mib};
    scaling.observe(sample, usual);
    for (int second = 1; second < 3; ++second) {
        sample.now += 1s;
        sample.waiting = 9;
        CHECK(scaling.observe(sample, usual).workers == 2);
    }
    sample.now += 1s;
    CHECK(scaling.observe(sample, usual).workers == 3);
}

TEST_CASE("a proxy that counts from nought again, or was silent, does not mislead", "[scaling]") {
    Pool pool;
    pool.live(100, busy);
    pool.sample.requests = pool.sample.waited_us = 0;
    pool.live(2, slow);
    pool.sample.now += 30s;  // nobody told anything
    pool.live(3, slow);
    CHECK(pool.told.empty());
    pool.live(1, slow);
    CHECK(pool.told.size() == 1);
}

}  // namespace edgeproxy::master
