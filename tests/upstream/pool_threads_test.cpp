// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <set>
#include <thread>

#include "tests/upstream/workshop.hpp"

using namespace edgeproxy;
using namespace edgeproxy::upstream;
using namespace edgeproxy::upstream::test;

namespace {

/// Reactors on threads of their own with many clients each, and a control thread that replaces the workers under them.
class Storm {
 public:
    static constexpr unsigned threads = 3, clients = 12, rounds = 100, limit = 2, replacements = 50;
    static constexpr std::uint32_t slots = 3;

    Storm() {
        for (unsigned i = 0; i < threads; ++i) list_.push_back(&reactors_.emplace_back(i, clock_));
        config::Pool pool = managed("app", limit);
        pool.queue.size = threads * clients;
        Pools::Outside outside;
        outside.post = [this](std::function<void()> work) { post(std::move(work)); };
        outside.events.drained = [this](control::Incarnation who, std::uint64_t left) {
            left_over_ += left;
            if (!drained_.insert(who).second) ++drained_twice_;
            ++replaced_;
            pools_->worker_gone({.incarnation = who, .how = "exit 0"});
            start(slot_of_.at(who));
        };
        pools_ = std::make_unique<Pools>(list_, clock_, log_, std::move(outside));
        pools_->configure({pool});
    }

    void run() {
        for (std::uint32_t slot = 0; slot < slots; ++slot) start(slot);
        for (auto& reactor : reactors_) {
            for (unsigned i = 0; i < clients; ++i) reactor.spawn(client(reactor, i));
            running_.emplace_back([&reactor] { reactor.run(); });
        }
        while (!wait_for_end()) replace_one();
        for (auto& reactor : reactors_) reactor.stop();
        for (auto& thread : running_) thread.join();
        run_control();
    }

    /// Nobody is left anywhere, and what was drained and gone can be freed.
    bool clean() {
        for (auto& reactor : reactors_) reactor.run_once(0ns);
        run_control();
        pools_->tick();
        return pools_->busy() == 0 && pools_->find("app")->waiting() == 0 &&
               pools_->roster("app")->status().size() == slots;
    }
    std::uint64_t asked() const { return asked_; }
    std::uint64_t served() const { return served_; }
    std::uint64_t cancelled() const { return cancelled_; }
    std::uint64_t other() const { return other_; }
    std::uint64_t over_limit() const { return over_limit_; }
    std::uint64_t left_over() const { return left_over_; }
    int drained_twice() const { return drained_twice_; }

 private:
    io::Task<void> client(io::Reactor& reactor, unsigned number) {
        Pool& pool = *pools_->find("app");
        for (unsigned round = 0; round < rounds || replaced_ < replacements; ++round) {
            ++asked_;
            AdmitCancel cancel;
            const bool impatient = (number + round) % 11 == 0;
            if (impatient) reactor.post([&cancel] { cancel.cancel(); });
            auto admission = co_await pool.admit(reactor, {.cancel = &cancel});
            if (admission) {
                if (admission->endpoint().gate().read().in_flight() > limit) ++over_limit_;
                for (unsigned i = 0; i < number % 3; ++i) co_await reactor.yield();
                admission->answered(200, 1ms);
                ++served_;
            } else if (admission.error() == errc::cancelled) {
                ++cancelled_;
            } else {
                ++other_;
            }
            co_await reactor.yield();
            // The posted cancel must have run before its target goes.
            while (impatient && !cancel.cancelled()) co_await reactor.yield();
        }
        ++finished_;
        post([] {});
    }

    void start(std::uint32_t slot) {
        const auto incarnation = ++last_;
        slot_of_[incarnation] = slot;
        pools_->worker_up({.pool = "app",
                           .slot = slot,
                           .incarnation = incarnation,
                           .address = {config::Address::Kind::unix_path, "/nowhere", 0}});
        pools_->worker_ready(incarnation);
    }
    void replace_one() {
        const auto status = pools_->roster("app")->status();
        for (const auto& each : status) {
            if (each.state != EndpointState::ready) continue;
            pools_->worker_drain({.incarnation = each.identity.incarnation, .timeout = 30s});
            break;
        }
        pools_->tick();
    }
    void post(std::function<void()> work) {
        const std::lock_guard lock(mutex_);
        control_.push_back(std::move(work));
        arrived_.notify_one();
    }
    void run_control() {
        std::unique_lock lock(mutex_);
        while (!control_.empty()) {
            const auto work = std::move(control_.front());
            control_.pop_front();
            lock.unlock();
            work();
            lock.lock();
        }
    }
    /// Does what was posted, looks up every millisecond at least; true when every client has finished.
    bool wait_for_end() {
        {
            std::unique_lock lock(mutex_);
            arrived_.wait_for(lock, 1ms, [&] { return !control_.empty(); });
        }
        run_control();
        return finished_ == threads * clients;
    }

    io::Clock clock_ = io::Clock::real();
    std::deque<io::Reactor> reactors_;
    std::vector<io::Reactor*> list_;
    config::Log log_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::function<void()>> control_;
    std::unique_ptr<Pools> pools_;
    std::vector<std::thread> running_;
    control::Incarnation last_ = 0;
    std::map<control::Incarnation, std::uint32_t> slot_of_;
    std::set<control::Incarnation> drained_;
    int drained_twice_ = 0;
    std::uint64_t left_over_ = 0;
    std::atomic<std::uint64_t> asked_{0}, replaced_{0}, served_{0}, cancelled_{0}, other_{0}, over_limit_{0};
    std::atomic<unsigned> finished_{0};
};

}  // namespace

TEST_CASE("while workers are replaced under load no request is lost, no limit passed, every drain ends once",
          "[upstream][pool][threads]") {
    Storm storm;
    storm.run();  // a request that nobody wakes would hang here
    CHECK(storm.asked() >= Storm::threads * Storm::clients * Storm::rounds);
    CHECK(storm.served() + storm.cancelled() == storm.asked());
    CHECK(storm.other() == 0);
    CHECK(storm.over_limit() == 0);
    CHECK(storm.left_over() == 0);
    CHECK(storm.drained_twice() == 0);
    CHECK(storm.clean());
}
