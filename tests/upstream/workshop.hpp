// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "upstream/pools.hpp"

namespace edgeproxy::upstream::test {

using namespace std::chrono_literals;

inline config::Pool managed(std::string name = "app", unsigned max_in_flight = 2) {
    config::Pool pool;
    pool.name = std::move(name);
    pool.managed = true;
    pool.max_in_flight = max_in_flight;
    pool.queue = {.size = 4, .timeout = 10s};
    pool.hold = 30s;
    pool.health.unhealthy_after = 3;
    pool.health.healthy_after = 1;
    pool.outlier = {.enabled = true, .failures = 5, .window = 10s, .eject = 10s};
    pool.keepalive = {.max_idle = 2, .idle_timeout = 4s};
    pool.drain_timeout = 30s;
    return pool;
}

inline config::Endpoint external(std::string name, std::string host, std::uint16_t port = 8000) {
    return {.name = std::move(name), .address = {config::Address::Kind::tcp, std::move(host), port}, .tls = {}};
}

/// A proxy's upstream side on one thread: reactors, control queue and clock all moved by hand.
struct Workshop {
    io::Clock clock = io::Clock::manual();
    std::deque<io::Reactor> reactors;
    std::vector<io::Reactor*> list;
    std::deque<std::function<void()>> control;
    std::vector<std::string> told;  ///< what the outside heard: "drained 7 left 0", "sick 7", "healthy 7"
    config::Log log;
    std::unique_ptr<Pools> pools;

    explicit Workshop(const config::Pool& pool = managed(), unsigned reactor_count = 2) {
        for (unsigned i = 0; i < reactor_count; ++i) list.push_back(&reactors.emplace_back(i, clock));
        Pools::Outside outside;
        outside.post = [this](std::function<void()> work) { control.push_back(std::move(work)); };
        outside.events.drained = [this](control::Incarnation who, std::uint64_t left) {
            told.push_back("drained " + std::to_string(who) + " left " + std::to_string(left));
        };
        outside.events.health_changed = [this](control::Incarnation who, bool healthy) {
            told.push_back((healthy ? "healthy " : "sick ") + std::to_string(who));
        };
        outside.events.suspect = [this](const EndpointIdentity& who) {
            told.push_back("suspect " + std::to_string(who.incarnation));
        };
        outside.events.resumed = [this](control::Incarnation who) { told.push_back("resumed " + std::to_string(who)); };
        outside.events.hung = [this](control::Incarnation who) { told.push_back("hung " + std::to_string(who)); };
        pools = std::make_unique<Pools>(list, clock, log, std::move(outside));
        pools->configure({pool});
        settle();
    }

    Pool& pool(const char* name = "app") { return *pools->find(name); }
    Roster& roster(const char* name = "app") { return *pools->roster(name); }

    /// Runs everything that can run without time passing.
    void settle() {
        for (bool busy = true; busy;) {
            busy = false;
            for (auto& reactor : reactors) busy |= reactor.run_once(0ns);
            while (!control.empty()) {
                const auto work = std::move(control.front());
                control.pop_front();
                work();
                busy = true;
            }
        }
    }
    /// Lets time pass in small steps; the control thread ticks as it would.
    void pass(io::Duration time) {
        for (; time > 0ns; time -= 10ms) {
            clock.advance(std::min<io::Duration>(time, 10ms));
            pools->tick();
            settle();
        }
    }

    void up(control::Incarnation incarnation, std::uint32_t slot, const char* pool = "app", bool replayed = false) {
        pools->worker_up({.pool = pool,
                          .slot = slot,
                          .incarnation = incarnation,
                          .pid = static_cast<std::int32_t>(1000 + incarnation),
                          .address = {config::Address::Kind::unix_path, "/nowhere/" + std::to_string(incarnation), 0},
                          .replayed = replayed});
        settle();
    }
    void ready(control::Incarnation incarnation) {
        pools->worker_ready(incarnation);
        settle();
    }
    void drain(control::Incarnation incarnation, std::chrono::milliseconds timeout = 30s,
               control::DrainReason reason = control::DrainReason::shutdown) {
        pools->worker_drain({.incarnation = incarnation, .timeout = timeout, .reason = reason});
        settle();
    }
    void gone(control::Incarnation incarnation) {
        pools->worker_gone({.incarnation = incarnation, .how = "exit 0"});
        settle();
    }
    void say(control::PoolState state, const char* pool = "app") {
        control::PoolStatus status;
        status.pool = pool;
        status.state = state;
        pools->pool_status(status);
        settle();
    }
    std::optional<EndpointStatus> status(const std::string& name, const char* pool = "app") {
        for (auto& status : roster(pool).status())
            if (status.identity.name == name) return status;
        return std::nullopt;
    }
    std::string state(const std::string& name) {
        const auto found = status(name);
        return !found ? "none" : std::string(word(found->state)) + (found->ejected ? " ejected" : "");
    }
};

/// One request that asks for a place: spawned on a reactor; what it got stays here until it is released.
struct Request {
    std::optional<Result<Admission>> outcome;
    AdmitCancel cancel;

    bool done() const { return outcome.has_value(); }
    bool admitted() const { return done() && outcome->has_value(); }
    /// The endpoint's name, the error's word, or "waits".
    std::string said() const {
        if (!done()) return "waits";
        return admitted() ? (*outcome)->endpoint().name() : outcome->error().message();
    }
    void release() { outcome.reset(); }
};

inline io::Task<void> ask(Pool& pool, io::Reactor& reactor, AdmitHints hints, Request& request) {
    auto result = co_await pool.admit(reactor, hints);
    request.outcome.emplace(std::move(result));
}

/// Requests by number, in the order of asking.
struct Requests {
    Workshop& shop;
    std::deque<Request> all{};

    Request& ask(unsigned reactor = 0, AdmitHints hints = {}, const char* pool = "app") {
        Request& request = all.emplace_back();
        hints.cancel = &request.cancel;
        shop.reactors[reactor].spawn(test::ask(shop.pool(pool), shop.reactors[reactor], hints, request));
        shop.settle();
        return request;
    }
    ~Requests() {
        for (auto& request : all) request.cancel.cancel();
        shop.settle();
    }
};

}  // namespace edgeproxy::upstream::test
