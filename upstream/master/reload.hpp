// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/difference.hpp"
#include "config/log.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/check_child.hpp"
#include "upstream/master/control_socket.hpp"
#include "upstream/master/resources.hpp"
#include "upstream/master/rolling.hpp"

namespace edgeproxy::master {

/// Another configuration in the running program, in two phases, so that it is taken over whole or not at all.
///
///   idle -> waiting (no proxy is ready) -> checking (a child reads the file) -> preparing (the proxy builds it beside
///   the one that serves) -> committing (every reactor takes it over) -> rolling (workers are replaced) -> idle
///
/// One at a time. What is asked meanwhile waits and is done together in one further go, which reads the file then: the
/// latest wins. The verdict has two parts: refused before `committing` is over, nothing has changed; a roll that fails
/// afterwards leaves the new configuration and the old workers, and a new pool that does not start is tried again. Such
/// a pool is rolled by the next reload too, whether its settings differ then or not. A proxy that does not say in time
/// whether it has taken over, may have done so: it is ended, and its successor gets what is in force. On the loop's
/// thread.
class Reload {
 public:
    /// How it ended; the label of `edgeproxy_config_reloads_total`.
    enum class Result : std::uint8_t { ok, refused, failed };
    static constexpr std::chrono::seconds check_timeout{60};  ///< for the child
    static constexpr std::size_t most_waiting = 64;           ///< who wait for the next go

    /// Managed pools of a configuration that was taken over.
    struct Adopted {
        std::vector<std::string> changed;  ///< their workers must be replaced
        std::vector<std::string> added;    ///< their first workers start
    };

    /// What it needs of the house.
    struct Outside {
        std::function<Checked()> load;  ///< reads and judges the file; called in a child
        std::function<bool()> can_begin;
        std::function<void(control::Message)> tell_proxy;
        /// It is started again, with the configuration in force.
        std::function<void()> end_proxy;
        std::function<std::shared_ptr<const config::Config>()> current;
        std::function<Resources&()> resources;
        /// The new configuration is in force: take over both.
        std::function<Adopted(std::shared_ptr<const config::Config>, Resources)> adopt;
        std::function<std::vector<std::string>()> managed_pools;
        /// Replaces the workers of a pool; false when there is no such pool any more.
        std::function<bool(const std::string& pool, RollTold told)> roll;
        /// `told` comes once when the workers of a new pool are ready, or the first of them did not come up.
        std::function<void(const std::string& pool, RollTold told)> await_start;
        /// All workers of the pool are ready.
        std::function<bool(const std::string& pool)> is_ok;
        std::function<void()> counted;                   ///< `counts` or `is_busy` changed
        std::chrono::milliseconds proxy_timeout{30000};  ///< for each answer of the proxy, and for a ready one
    };

    Reload(boost::asio::io_context& loop, config::Log& log, Outside outside);

    /// `roll_all`: replace all workers, whatever has changed. `asker` may be null; `by` is for the log.
    void ask(bool roll_all, bool dry_run, std::shared_ptr<Asker> asker, const std::string& by);

    // ---- what happens meanwhile
    /// The word on a generation of ours. False when it is about another one.
    bool heard(const control::ConfigResult& result);
    void heard(const control::Committed& committed);
    /// A proxy is ready, or none is.
    void proxy_changed(bool ready);
    /// True if it was the child that checks.
    bool on_exit(pid_t pid, int status);
    /// The program stops: everybody who waits is told so.
    void give_up();

    /// Of the configuration in force; 1 is the one of the start.
    std::uint64_t generation() const { return generation_; }
    const std::array<std::uint64_t, control::reload_results>& counts() const { return counts_; }
    /// Why the last one failed, or what an earlier one has left behind; empty when all is as the file says.
    std::string last_failure() const;
    /// All workers of that pool were replaced, on somebody else's order: nothing of it is left behind.
    void replaced(const std::string& pool);
    std::int64_t last_ok_at() const { return last_ok_at_; }  ///< seconds since 1970; the start's at first
    bool is_busy() const { return phase_ != Phase::idle; }

    /// What the next program in our process goes on with, while nothing is under way.
    struct Memory {
        std::uint64_t generation = 1, last_tried = 1;
        std::array<std::uint64_t, control::reload_results> counts{};
        std::string last_failure;
        std::int64_t last_ok_at = 0;
        std::vector<std::pair<std::string, std::string>> behind, absent;
        bool operator==(const Memory&) const = default;
    };
    Memory memory() const;
    void recall(const Memory& memory);

 private:
    enum class Phase : std::uint8_t { idle, waiting, checking, preparing, committing, rolling };
    using Failures = std::map<std::string, std::string>;  // why, by pool
    struct Order {
        bool roll_all = false, dry_run = false;
        std::shared_ptr<Asker> asker;
    };

    void begin();
    void checked(Checked result);
    void prepare();
    void committed();
    void roll(const Adopted& pools);
    void rolled(const RollVerdict& verdict);
    void started(const RollVerdict& verdict);
    void failed(const RollVerdict& verdict, const std::string& what);
    std::vector<std::string> to_roll(const Adopted& pools);
    std::string describe_behind(const config::Config& wanted) const;
    bool only_asks() const;
    void settled();
    void refuse(const std::string& why);
    void finish(Result result, const std::string& why);
    void tell_all(const std::string& text);
    bool wants_roll() const;
    void expect(std::chrono::milliseconds longest, const std::string& what);
    void overdue(const std::string& what);
    long long elapsed_ms() const;

    boost::asio::io_context& loop_;
    config::Log& log_;
    const Outside outside_;
    boost::asio::steady_timer timer_;
    Phase phase_ = Phase::idle;
    std::vector<Order> waiting_, orders_;
    CheckChild child_;
    std::shared_ptr<const config::Config> next_;
    std::optional<Resources> next_resources_;
    std::vector<config::Difference> differences_;
    std::uint64_t generation_ = 1, last_tried_ = 1;
    std::size_t rolls_ = 0;     // pools that still roll or start
    std::string roll_failure_;  // of the first pool that failed: what, and why
    std::string roll_outcome_;  // ... what that means
    Failures behind_;           // pools whose workers are still those of before
    Failures absent_;           // new pools that have not come up
    std::chrono::steady_clock::time_point begun_{};
    std::array<std::uint64_t, control::reload_results> counts_{};
    std::string last_failure_;  // why the last one was refused
    std::int64_t last_ok_at_;
};

const char* word(Reload::Result result);

}  // namespace edgeproxy::master
