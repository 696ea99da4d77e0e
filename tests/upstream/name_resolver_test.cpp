// SPDX-License-Identifier: Apache-2.0
#include "upstream/name_resolver.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace edgeproxy::upstream {
namespace {

/// A resolver whose name servers answer only when told, and a thread that takes what is posted to it.
class NameServers {
 public:
    /// As getaddrinfo: blocks until there is an answer.
    Resolved ask(const std::string& host) {
        std::unique_lock hold(mutex_);
        ++asked_;
        most_ = std::max(most_, ++asking_);
        changed_.notify_all();
        changed_.wait(hold, [&] { return answering_ || host == "alive"; });
        --asking_;
        return {{{config::Address::Kind::tcp, "10.0.0.1", 0}}, {}};
    }
    void answer_all() {
        const std::lock_guard hold(mutex_);
        answering_ = true;
        changed_.notify_all();
    }
    void wait_asked(unsigned count) {
        std::unique_lock hold(mutex_);
        REQUIRE(changed_.wait_for(hold, patience, [&] { return asked_ >= count; }));
    }
    unsigned most_at_once() {
        const std::lock_guard hold(mutex_);
        return most_;
    }
    void post(std::function<void()> work) {
        const std::lock_guard hold(mutex_);
        posted_.push_back(std::move(work));
        changed_.notify_all();
    }
    /// Does what was posted, until that many answers have been heard.
    void run_until(std::size_t answers) {
        while (heard.size() < answers) {
            std::unique_lock hold(mutex_);
            REQUIRE(changed_.wait_for(hold, patience, [&] { return !posted_.empty(); }));
            const auto work = std::move(posted_.front());
            posted_.pop_front();
            hold.unlock();
            work();
        }
    }
    void run_posted() {
        const std::lock_guard hold(mutex_);
        for (const auto& work : std::exchange(posted_, {})) work();
    }
    std::size_t posted() {
        const std::lock_guard hold(mutex_);
        return posted_.size();
    }

    std::vector<std::string> heard;

 private:
    static constexpr std::chrono::seconds patience{30};
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned asked_ = 0, asking_ = 0, most_ = 0;
    std::deque<std::function<void()>> posted_;
    bool answering_ = false;
};

struct Office {
    Office() {
        const auto post = [all = servers](std::function<void()> work) { all->post(std::move(work)); };
        const auto answer = [all = servers](const std::string& host, const Resolved& result) {
            CHECK(result.error.empty());
            all->heard.push_back(host);
        };
        resolver.emplace(post, answer, [all = servers](const std::string& host) { return all->ask(host); });
    }
    // Its threads, which nobody joins, may use it after the resolver has gone.
    const std::shared_ptr<NameServers> servers = std::make_shared<NameServers>();
    std::optional<NameResolver> resolver;
};

TEST_CASE("a name whose servers are silent holds up no other name", "[upstream][dns]") {
    Office office;
    office.resolver->resolve("silent");
    office.servers->wait_asked(1);
    office.resolver->resolve("alive");
    office.servers->run_until(1);
    CHECK(office.servers->heard == std::vector<std::string>{"alive"});
    office.servers->answer_all();
    office.servers->run_until(2);
    CHECK(office.servers->heard.back() == "silent");
}

TEST_CASE("so many names are asked at the same time and no more", "[upstream][dns]") {
    Office office;
    constexpr unsigned names = NameResolver::most_at_once + 3;
    for (unsigned i = 0; i < names; ++i) office.resolver->resolve("silent" + std::to_string(i));
    office.servers->wait_asked(NameResolver::most_at_once);
    office.servers->answer_all();
    office.servers->run_until(names);
    CHECK(office.servers->most_at_once() == NameResolver::most_at_once);
    CHECK(std::set(office.servers->heard.begin(), office.servers->heard.end()).size() == names);
}

TEST_CASE("a resolver stops without waiting for who does not answer, and tells nothing then", "[upstream][dns]") {
    Office office;
    office.resolver->resolve("silent");
    office.servers->wait_asked(1);
    office.resolver.reset();
    office.servers->answer_all();
    while (office.servers.use_count() > 1) std::this_thread::yield();  // until its thread has ended
    CHECK(office.servers->posted() == 0);
}

TEST_CASE("an answer that is on its way at the stop is not told", "[upstream][dns]") {
    Office office;
    office.resolver->resolve("alive");
    while (office.servers->posted() == 0) std::this_thread::yield();
    office.resolver.reset();
    office.servers->run_posted();
    CHECK(office.servers->heard.empty());
}

}  // namespace
}  // namespace edgeproxy::upstream
