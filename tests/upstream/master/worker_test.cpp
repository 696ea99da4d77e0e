// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/worker.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
using enum WorkerEvent;

constexpr TimePoint start{std::chrono::hours(1)};

// A worker whose time moves by hand.
struct Life {
    Worker worker{WorkerPolicy{}, start, true};
    TimePoint now = start;

    WorkerAction after(const std::vector<WorkerEvent>& events) {
        WorkerAction last = WorkerAction::nothing;
        for (const WorkerEvent event : events) last = worker.on(event, now);
        return last;
    }
    // Waits for the next deadline and sends it.
    WorkerAction wait() {
        REQUIRE(worker.due().has_value());
        now = *worker.due();
        return worker.on(deadline, now);
    }
    milliseconds left() const { return std::chrono::duration_cast<milliseconds>(*worker.due() - now); }
};

TEST_CASE("every event in every state has one meaning", "[worker]") {
    using S = WorkerState;
    using A = WorkerAction;
    struct Row {
        std::vector<WorkerEvent> before;
        WorkerEvent event;
        S state;
        A action;
    };
    const std::vector<Row> rows{
        {{}, answered, S::ready, A::nothing},
        {{}, suspect, S::starting, A::nothing},
        {{}, hung, S::starting, A::nothing},
        {{}, unhealthy, S::starting, A::nothing},
        {{}, drain, S::stopping, A::send_stop},
        {{}, kill, S::stopping, A::send_kill},
        {{}, stop, S::stopping, A::send_stop},
        {{answered}, stop, S::stopping, A::send_stop},
        {{answered, drain}, stop, S::stopping, A::send_stop},
        {{answered, stop}, stop, S::stopping, A::nothing},
        {{answered, stop}, drain, S::stopping, A::nothing},
        {{}, exited, S::dead, A::bury},
        {{answered}, answered, S::ready, A::nothing},
        {{answered}, suspect, S::suspect, A::nothing},
        {{answered}, resumed, S::ready, A::nothing},
        {{answered}, hung, S::stopping, A::send_abort},
        {{answered}, drain, S::draining, A::announce_drain},
        {{answered}, drained, S::ready, A::nothing},
        {{answered}, exited, S::dead, A::bury},
        {{answered, suspect}, resumed, S::ready, A::nothing},
        {{answered, suspect}, answered, S::ready, A::nothing},
        {{answered, suspect}, hung, S::stopping, A::send_abort},
        {{answered, suspect}, drain, S::draining, A::announce_drain},
        {{answered, suspect}, exited, S::dead, A::bury},
        {{answered, drain}, drained, S::stopping, A::send_stop},
        {{answered, drain}, drain, S::draining, A::nothing},
        {{answered, drain}, hung, S::stopping, A::send_abort},
        {{answered, drain}, unhealthy, S::draining, A::nothing},
        {{answered, drain}, kill, S::stopping, A::send_kill},
        {{answered, drain}, exited, S::dead, A::bury},
        {{answered, drain, drained}, drained, S::stopping, A::nothing},
        {{answered, drain, drained}, answered, S::stopping, A::nothing},
        {{answered, drain, drained}, kill, S::stopping, A::send_kill},
        {{answered, drain, drained}, exited, S::dead, A::bury},
        {{exited}, exited, S::dead, A::nothing},
        {{exited}, kill, S::dead, A::nothing},
        {{exited}, deadline, S::dead, A::nothing},
    };
    for (const Row& row : rows) {
        Life life;
        life.after(row.before);
        const WorkerAction action = life.after({row.event});
        INFO("row " << &row - rows.data());
        CHECK(action == row.action);
        CHECK(life.worker.state() == row.state);
    }
}

TEST_CASE("a worker that never answers is made to tell where it stands, then killed", "[worker]") {
    Life life;
    CHECK(life.left() == 60s);
    CHECK(life.wait() == WorkerAction::send_abort);
    CHECK(life.left() == 2s);
    CHECK(life.wait() == WorkerAction::send_kill);
    CHECK(life.left() == 1s);
    CHECK(life.wait() == WorkerAction::send_kill);
    CHECK(life.after({exited}) == WorkerAction::bury);
    CHECK(life.worker.end() == WorkerEnd::start_timeout);
    CHECK_FALSE(life.worker.was_ready());
    CHECK_FALSE(life.worker.due().has_value());
}

TEST_CASE("a drained worker is asked to go, then made to go", "[worker]") {
    Life life;
    life.after({answered});
    CHECK_FALSE(life.worker.due().has_value());
    CHECK(life.after({drain}) == WorkerAction::announce_drain);
    CHECK(life.left() == 31s);
    CHECK(life.after({drained}) == WorkerAction::send_stop);
    CHECK(life.left() == 10s);
    CHECK(life.wait() == WorkerAction::send_kill);
    CHECK(life.after({exited}) == WorkerAction::bury);
    CHECK(life.worker.end() == WorkerEnd::asked);
}

TEST_CASE("a drain that the proxy never confirms ends at its own deadline", "[worker]") {
    Life life;
    life.after({answered});
    CHECK(life.worker.drain(5s, life.now) == WorkerAction::announce_drain);
    CHECK(life.left() == 6s);
    CHECK(life.wait() == WorkerAction::send_stop);
}

TEST_CASE("unhealthy for thirty seconds is the end, a moment of health forgives", "[worker]") {
    Life life;
    life.after({answered, unhealthy});
    CHECK(life.left() == 30s);
    life.now += 20s;
    life.after({unhealthy});
    CHECK(life.left() == 10s);
    life.after({healthy});
    CHECK_FALSE(life.worker.due().has_value());
    life.after({unhealthy});
    CHECK(life.wait() == WorkerAction::announce_drain);
    CHECK(life.after({drained}) == WorkerAction::send_stop);
    CHECK(life.worker.end() == WorkerEnd::unhealthy);
}

TEST_CASE("while no proxy is ready the clocks of start, drain and health stand still", "[worker]") {
    const auto before = GENERATE(std::vector<WorkerEvent>{}, std::vector<WorkerEvent>{answered, drain},
                                 std::vector<WorkerEvent>{answered, unhealthy});
    Life life;
    for (const WorkerEvent event : before) life.after({event});
    const milliseconds whole = life.left();
    life.now += 3s;
    life.after({proxy_lost});
    CHECK_FALSE(life.worker.due().has_value());
    life.now += 1h;
    life.after({proxy_back});
    CHECK(life.left() == whole - 3s);
}

TEST_CASE("a worker that starts while no proxy is ready gets its whole time", "[worker]") {
    Worker worker{WorkerPolicy{}, start, false};
    CHECK_FALSE(worker.due().has_value());
    worker.on(proxy_back, start + 1h);
    CHECK(*worker.due() == start + 1h + 60s);
}

TEST_CASE("the way from signal to KILL needs no proxy", "[worker]") {
    Life life;
    life.after({answered, drain, drained, proxy_lost});
    CHECK(life.left() == 10s);
    life.after({kill, proxy_lost});
    CHECK(life.left() == 1s);
}

TEST_CASE("a timer that comes too early says nothing", "[worker]") {
    Life life;
    CHECK(life.after({deadline}) == WorkerAction::nothing);
    life.after({answered});
    life.now += 60s;
    CHECK(life.after({deadline}) == WorkerAction::nothing);
    CHECK(life.worker.state() == WorkerState::ready);
}

TEST_CASE("what an earlier proxy thought of a worker is void once a new one had its answer", "[worker]") {
    Life life;
    life.after({answered, unhealthy, proxy_lost, proxy_back});
    CHECK(life.worker.due().has_value());
    life.after({answered});
    CHECK_FALSE(life.worker.due().has_value());
}

TEST_CASE("a worker that does not answer a new proxy in the time of a start hangs", "[worker]") {
    const auto before = GENERATE(std::vector<WorkerEvent>{answered}, std::vector<WorkerEvent>{answered, suspect});
    Life life;
    life.after(before);
    life.after({proxy_lost});
    life.worker.introduce(life.now, false);
    CHECK(life.worker.is_unproven());
    CHECK_FALSE(life.worker.due().has_value());
    life.now += 1h;
    life.after({proxy_back});
    CHECK(life.left() == 60s);
    life.now += 60s;
    life.worker.postpone(life.now);
    CHECK(life.left() == 60s);
    CHECK(life.wait() == WorkerAction::send_abort);
    CHECK(life.worker.end() == WorkerEnd::hung);
    CHECK(life.wait() == WorkerAction::send_kill);
}

TEST_CASE("its answer, a drain or a start that still goes on leave nothing to wait for from a new proxy", "[worker]") {
    Life life;
    life.worker.introduce(life.now + 1s, false);
    CHECK_FALSE(life.worker.is_unproven());
    CHECK(life.left() == 60s);
    life.after({answered});
    life.worker.introduce(life.now, false);
    life.after({answered});
    CHECK_FALSE(life.worker.is_unproven());
    CHECK_FALSE(life.worker.due().has_value());
    life.worker.introduce(life.now, false);
    life.after({drain});
    CHECK_FALSE(life.worker.is_unproven());
    CHECK(life.left() == 31s);
}

TEST_CASE("while an earlier proxy still ends what it has, a new one's worker may be silent", "[worker]") {
    Life life;
    life.after({answered});
    life.worker.introduce(life.now, true);
    CHECK(life.worker.is_unproven());
    CHECK_FALSE(life.worker.due().has_value());
    life.now += 1h;
    life.after({proxy_back});
    CHECK(life.left() == 60s);
}

TEST_CASE("under a debugger the clocks begin again", "[worker]") {
    Life life;
    life.now += 60s;
    life.worker.postpone(life.now);
    CHECK(life.left() == 60s);
    life.after({answered, unhealthy});
    life.now += 30s;
    life.worker.postpone(life.now);
    CHECK(life.left() == 30s);
}

TEST_CASE("the first cause is the one that is told", "[worker]") {
    Life life;
    life.after({answered, hung, kill, exited});
    CHECK(life.worker.end() == WorkerEnd::hung);
}

}  // namespace
}  // namespace edgeproxy::master
