// SPDX-License-Identifier: Apache-2.0
// One crew with real processes, without a house around it: orders, and what is told of them.
#include "upstream/master/crew.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "stage.hpp"
#include "support.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
using Reason = control::RestartReason;

/// Stands in for house and proxy: a worker is ready when it has lived for 100 ms, and drained when it is told to.
struct Yard {
    Scratch scratch;
    boost::asio::io_context loop{1};
    config::Log log{config::LogLevel::debug};
    Workplace place{loop, log};
    control::Incarnation last = 0;
    std::set<control::Incarnation> starting;
    std::vector<std::string> drains;
    bool busy = false;  // what is to drain has a request in flight, without end
    unsigned counted = 0;
    std::vector<RollVerdict> verdicts;
    std::unique_ptr<Crew> crew;

    Yard() {
        place.run_dir = scratch.path();
        place.environment = {"PATH=/usr/bin:/bin"};
        place.jitter = [] { return 0.0; };
        place.next_incarnation = [this] { return ++last; };
        place.print = [](const LineOrigin&, std::string_view) {};
        place.guard = [](pid_t, bool) {};
        place.changed = [] {};
        place.counted = [this] { ++counted; };
        place.tell_proxy = [this](control::Message message) { hear(message); };
    }
    ~Yard() {
        if (!crew) return;
        crew->kill();
        CHECK(until([&] { return crew->is_empty(); }));
    }

    CrewPlan plan(const std::string& script, unsigned workers = 1) const {
        config::Pool pool;
        pool.name = "app";
        pool.managed = true;
        pool.command.argv = {"/bin/sh", "-c", script};
        pool.command.stop_signal = "TERM";
        pool.command.bind = config::Bind::fd;
        pool.command.working_dir = scratch.path();
        pool.workers = workers;
        pool.start_timeout = pool.drain_timeout = pool.stop_grace_period = 10s;
        pool.start_parallel = 2;
        pool.restart = {10ms, 50ms, 5, 60s};
        pool.hang = {1s, 10s};
        return {std::make_shared<const config::Pool>(pool), std::nullopt};
    }
    void start(CrewPlan plan) {
        crew = std::make_unique<Crew>(place, std::move(plan));
        crew->start(true);
        REQUIRE(until([&] { return crew->state() == control::PoolState::ok; }));
    }
    void roll() {
        crew->roll(Reason::request, [this](const RollVerdict& verdict) { verdicts.push_back(verdict); });
    }
    void hear(const control::Message& message) {
        if (const auto* up = std::get_if<control::WorkerUp>(&message)) starting.insert(up->incarnation);
        if (const auto* gone = std::get_if<control::WorkerGone>(&message)) starting.erase(gone->incarnation);
        if (const auto* drain = std::get_if<control::WorkerDrain>(&message)) {
            drains.push_back(std::to_string(drain->incarnation) + " " + word(drain->reason));
            if (!busy)
                boost::asio::post(loop, [this, id = drain->incarnation] { crew->hear(id, WorkerEvent::drained, {}); });
        }
    }
    bool until(const std::function<bool()>& ask) {
        return within(15, [&] {
            loop.restart();
            loop.poll();
            for (const IncarnationProcess* one : crew->processes()) {
                int status = 0;
                const pid_t pid = one->process.pid;
                if (::waitpid(pid, &status, WNOHANG) != pid) continue;
                crew->on_exit(pid, status);
                return false;  // the list has changed
            }
            for (const IncarnationProcess* one : crew->processes()) {
                const bool settled = io::Clock::real().now() - one->journey.begun > 100ms;
                if (settled && starting.erase(one->id) > 0)
                    return crew->hear(one->id, WorkerEvent::answered, {}), false;
            }
            return ask();
        });
    }
    // Waits for the end of one, and tells it.
    void bury(control::Incarnation id) {
        for (const IncarnationProcess* one : crew->processes()) {
            if (one->id != id) continue;
            int status = 0;
            const pid_t pid = one->process.pid;
            REQUIRE(::waitpid(pid, &status, 0) == pid);
            CHECK(crew->on_exit(pid, status));
            return;
        }
        FAIL("no such worker");
    }
    std::vector<std::string> commands() const {
        std::vector<std::string> all;
        for (const IncarnationProcess* one : crew->processes()) all.push_back(one->plan.pool->command.argv.back());
        return all;
    }
};

TEST_CASE("changed settings come with a roll; until they have worked, what dies is started as before", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000"));
    CHECK(yard.crew->configure(yard.plan("echo no such module >&2; exit 3")));
    yard.roll();
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK_FALSE(yard.verdicts[0].ok);
    CHECK(yard.verdicts[0].why.find("the new app-1 did not come up: exit 3 (executed in ") == 0);
    CHECK(yard.verdicts[0].last_lines == std::vector<std::string>{"no such module"});
    CHECK(yard.crew->state() == control::PoolState::ok);

    ::kill(yard.crew->processes().front()->process.pid, SIGKILL);
    REQUIRE(yard.until([&] { return yard.crew->state() == control::PoolState::ok && yard.last == 3; }));
    CHECK(yard.commands() == std::vector<std::string>{"exec sleep 1000"});

    CHECK(yard.crew->configure(yard.plan("exec sleep 2000")));
    yard.roll();
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 2; }));
    CHECK(yard.verdicts[1].ok);
    CHECK(yard.verdicts[1].replaced == 1);
    CHECK(yard.commands() == std::vector<std::string>{"exec sleep 2000"});
}

TEST_CASE("what is in force at once needs no roll, and the number of workers follows the settings", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 2));
    CHECK_FALSE(yard.crew->configure(yard.plan("exec sleep 1000", 3)));
    CHECK(yard.crew->wanted() == 3);
    REQUIRE(yard.until([&] { return yard.crew->state() == control::PoolState::ok; }));
    CHECK(yard.crew->processes().size() == 3);
    CHECK_FALSE(yard.crew->configure(yard.plan("exec sleep 1000", 1)));
    REQUIRE(yard.until([&] { return yard.crew->processes().size() == 1; }));
    CHECK(yard.drains == std::vector<std::string>{"2 scale", "3 scale"});
    CHECK(yard.crew->state() == control::PoolState::ok);
}

TEST_CASE("a number set by hand is kept until the settings come again", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 1));
    yard.crew->pin(3);
    CHECK(yard.crew->pinned());
    CHECK(yard.crew->wanted() == 3);
    CHECK(yard.counted == 1);
    CHECK_FALSE(yard.crew->configure(yard.plan("exec sleep 1000", 1)));
    CHECK_FALSE(yard.crew->pinned());
    CHECK(yard.crew->wanted() == 1);
}

TEST_CASE("autoscaling adds a worker and takes it away, stays within its bounds, and rests while one is set by hand",
          "[crew]") {
    Yard yard;
    const auto scaled = [&](unsigned min, unsigned max) {
        CrewPlan plan = yard.plan("exec sleep 1000", min);
        auto pool = std::make_shared<config::Pool>(*plan.pool);
        pool->autoscale = {min, max, 10ms, 0ms, 0ms, 100};
        pool->max_in_flight = 10;
        plan.pool = pool;
        return plan;
    };
    control::PoolLoad load{"app", 0, 0, 0};
    const auto second = [&](std::uint64_t wait_us) {
        load.requests += 10;
        load.waited_us += 10 * wait_us;
        yard.crew->hear_load(load);
    };
    const auto settle = [&] { return yard.until([&] { return yard.crew->state() == control::PoolState::ok; }); };
    yard.start(scaled(1, 2));
    second(0);
    second(20'000);
    CHECK(yard.crew->wanted() == 2);
    second(20'000);
    CHECK(yard.crew->wanted() == 2);
    REQUIRE(settle());
    second(20'000);
    const control::PoolScale told = yard.crew->scale_told();
    CHECK(told.decisions == std::array<std::uint64_t, control::scale_decisions>{1, 0, 0, 1, 0});
    CHECK((told.wanted == 2 && told.min == 1 && told.max == 2 && !told.pinned));
    CHECK_FALSE(yard.crew->configure(scaled(1, 3)));
    CHECK(yard.crew->wanted() == 2);  // what it found stays
    second(0);
    CHECK(yard.crew->wanted() == 1);
    yard.crew->pin(2);
    REQUIRE(settle());
    second(0);
    second(0);
    CHECK(yard.crew->wanted() == 2);
    CHECK_FALSE(yard.crew->configure(scaled(3, 4)));
    CHECK(yard.crew->wanted() == 3);
}

TEST_CASE("whoever waits for a new pool hears that its workers are ready, or how the first that is not ended",
          "[crew]") {
    const auto [script, ok] = GENERATE(table<std::string, bool>(
        {{"exec sleep 1000", true}, {"echo no such module >&2; exit 3", false}, {"exec /none/such", false}}));
    Yard yard;
    yard.crew = std::make_unique<Crew>(yard.place, yard.plan(script, 2));
    yard.crew->start(true);
    yard.crew->await_start([&](const RollVerdict& verdict) { yard.verdicts.push_back(verdict); });
    CHECK(yard.verdicts.empty());
    REQUIRE(yard.until([&] { return !yard.verdicts.empty(); }));
    CHECK(yard.verdicts[0].ok == ok);
    if (ok) CHECK(yard.verdicts[0].replaced == 2);
    if (!ok) CHECK(yard.verdicts[0].why.find("exit") != std::string::npos);
    if (script.starts_with("echo")) CHECK(yard.verdicts[0].last_lines == std::vector<std::string>{"no such module"});
    CHECK(yard.verdicts.size() == 1);
}

TEST_CASE("a pool that is retired before it came up tells those who wait for it", "[crew]") {
    Yard yard;
    yard.crew = std::make_unique<Crew>(yard.place, yard.plan("exec sleep 1000"));
    yard.crew->start(true);
    yard.crew->await_start([&](const RollVerdict& verdict) { yard.verdicts.push_back(verdict); });
    yard.crew->retire();
    CHECK(yard.verdicts.size() == 1);
    CHECK_FALSE(yard.verdicts.at(0).ok);
}

TEST_CASE("one worker is replaced by name; a slot that does not exist is refused", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 2));
    CHECK_FALSE(yard.crew->roll_one(2, Reason::request));
    CHECK(yard.crew->roll_one(1, Reason::request, [&](const RollVerdict& v) { yard.verdicts.push_back(v); }));
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK(yard.verdicts[0].replaced == 1);
    CHECK(yard.drains == std::vector<std::string>{"2 request"});
}

TEST_CASE("whoever asks for one worker while all are replaced hears of one, and the other of each once", "[crew]") {
    Yard yard;
    std::vector<RollVerdict> of_one;
    yard.start(yard.plan("exec sleep 1000", 2));
    yard.roll();
    CHECK(yard.crew->roll_one(0, Reason::request, [&](const RollVerdict& verdict) { of_one.push_back(verdict); }));
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK(yard.verdicts[0].replaced == 2);
    CHECK(yard.last == 5);  // the first one twice
    REQUIRE(of_one.size() == 1);
    CHECK(of_one[0].ok);
    CHECK(of_one[0].replaced == 1);
}

TEST_CASE("a pool that is retired drains and is gone, and whoever waits for its roll is told", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 2));
    yard.roll();
    yard.crew->retire();
    CHECK(yard.verdicts.size() == 1);
    CHECK_FALSE(yard.verdicts.at(0).ok);
    REQUIRE(yard.until([&] { return yard.crew->is_empty(); }));
    CHECK(yard.crew->state() == control::PoolState::stopped);
    CHECK(yard.last == 3);  // nothing was started but the first successor
    yard.roll();
    CHECK_FALSE(yard.verdicts.at(1).ok);
}

TEST_CASE("a worker that does not answer a new proxy is ended as hung, unless somebody may be looking at it",
          "[crew]") {
    const bool watched = GENERATE(false, true);
    Yard yard;
    CrewPlan plan = yard.plan("exec sleep 1000", 2);
    auto pool = std::make_shared<config::Pool>(*plan.pool);
    pool->start_timeout = 2s;
    if (watched) pool->command.watch = {"*.py"};
    plan.pool = pool;
    yard.start(plan);
    yard.crew->proxy_changed(false);
    yard.crew->await_answers(false);
    yard.crew->proxy_changed(true);
    yard.crew->hear(2, WorkerEvent::answered, {});
    const auto begun = io::Clock::real().now();
    REQUIRE(yard.until([&] { return yard.last == 3 || io::Clock::real().now() - begun > 3s; }));
    CHECK(yard.last == (watched ? 2u : 3u));
    REQUIRE(yard.until([&] { return yard.crew->state() == control::PoolState::ok; }));
    CHECK(yard.crew->processes().at(1)->id == 2);
    CHECK(yard.crew->processes().at(0)->id == (watched ? 1u : 3u));
}

TEST_CASE("files that change twice in a row leave one worker, in whatever order those of before end", "[crew]") {
    const auto order = GENERATE(std::vector<control::Incarnation>{2, 1}, std::vector<control::Incarnation>{1, 2});
    Yard yard;
    yard.start(yard.plan("exec sleep 1000"));
    yard.busy = true;
    yard.crew->renew();
    CHECK(yard.last == 2);
    yard.crew->renew();  // 1 still has a request, 2 still starts
    CHECK(yard.last == 2);
    // 1 leaves no place until it is buried; 2 moves into it.
    yard.bury(order[0]);
    CHECK(yard.last == (order[0] == 2 ? 2u : 3u));
    yard.bury(order[1]);
    CHECK(yard.last == 3);
    REQUIRE(yard.until([&] { return yard.crew->state() == control::PoolState::ok; }));
    CHECK(yard.crew->processes().size() == 1);
    bool lasting = false;
    CHECK(yard.crew->half_done(lasting).empty());
}

TEST_CASE("workers that are added while a roll brings new settings have them when it is done", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 2));
    CHECK(yard.crew->configure(yard.plan("exec sleep 2000", 2)));
    yard.roll();
    CHECK(yard.last == 3);  // the first successor starts
    yard.crew->pin(3);
    CHECK(yard.last == 4);
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK(yard.verdicts[0].ok);
    CHECK(yard.commands() == std::vector<std::string>(3, "exec sleep 2000"));
    bool lasting = false;
    CHECK(yard.crew->half_done(lasting).empty());
}

TEST_CASE("workers that are added while a roll fails start as the others did", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000", 1));
    CHECK(yard.crew->configure(yard.plan("exit 3", 1)));
    yard.roll();
    yard.crew->pin(2);
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK_FALSE(yard.verdicts[0].ok);
    REQUIRE(yard.until([&] { return yard.crew->state() == control::PoolState::ok; }));
    CHECK(yard.commands() == std::vector<std::string>(2, "exec sleep 1000"));
}

TEST_CASE("a pool that is gone in the same turn in which its timer is due hears no more of it", "[crew]") {
    Yard yard;
    CrewPlan plan = yard.plan("exec sleep 1000");
    auto pool = std::make_shared<config::Pool>(*plan.pool);
    pool->stop_grace_period = 200ms;
    plan.pool = pool;
    yard.start(plan);
    yard.crew->retire();
    yard.loop.restart();
    yard.loop.poll();  // drained: it is stopped, and the timer waits for its end
    boost::asio::steady_timer earlier(yard.loop);
    earlier.expires_after(0ms);
    earlier.async_wait([&](boost::system::error_code) {
        yard.bury(1);
        CHECK(yard.crew->is_empty());
        yard.crew.reset();
    });
    std::this_thread::sleep_for(250ms);  // both are due in one turn
    yard.loop.restart();
    yard.loop.poll();
    CHECK_FALSE(yard.crew);
}

TEST_CASE("no step is made while no proxy could tell that it worked", "[crew]") {
    Yard yard;
    yard.start(yard.plan("exec sleep 1000"));
    yard.crew->proxy_changed(false);
    yard.roll();
    CHECK(yard.last == 1);
    CHECK(yard.crew->is_rolling());
    yard.crew->proxy_changed(true);
    REQUIRE(yard.until([&] { return yard.verdicts.size() == 1; }));
    CHECK(yard.verdicts[0].ok);
}

}  // namespace
}  // namespace edgeproxy::master
