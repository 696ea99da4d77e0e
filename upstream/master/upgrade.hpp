// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/log.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/control_socket.hpp"
#include "upstream/master/executable.hpp"
#include "upstream/master/worker.hpp"

namespace edgeproxy::master {

/// Another binary in our process.
///
///   idle -> waiting (until nothing is half done) -> checking (a child of the new binary judges our state and the file)
///        -> executing (we become it)                        in the old program
///   resumed (its proxy takes over from the old one) -> idle in the new one
///
/// Refused before `executing`: nothing has changed. A new proxy that does not come up is a failure: the new master goes
/// on with the old proxy. One at a time. On the loop's thread.
class Upgrade {
 public:
    /// How it ended; the label of `edgeproxy_upgrades_total`.
    enum class Result : std::uint8_t { ok, refused, failed };
    struct Times {
        milliseconds wait{60000};   ///< until nothing is half done
        milliseconds check{30000};  ///< for the child
        milliseconds again{50};     ///< between two looks whether something is half done
    };
    /// What goes over to the next program.
    struct Memory {
        std::array<std::uint64_t, control::upgrade_results> counts{};
        std::string last_failure;
        std::string version;  ///< of the program that ends
        int asker = -1;       ///< whoever waits for the end of it; -1 = nobody
        TimePoint begun{};
        bool operator==(const Memory&) const = default;
    };

    /// What it needs of the house.
    struct Outside {
        std::string program;                 ///< absolute path
        std::vector<std::string> arguments;  ///< ours, the program's name first
        std::vector<std::string> environment;
        /// Why not at all; empty = it may be.
        std::function<std::string()> forbidden;
        /// What is half done now and will be over soon; empty = nothing.
        std::function<std::string()> half_done;
        std::function<io::UniqueFd()> state;  ///< everything that the new binary must know
        std::function<void()> execute;        ///< leave the loop and call `ready_to_execute`, then become it
        std::function<void()> counted;        ///< `counts` or `is_busy` changed
    };

    Upgrade(boost::asio::io_context& loop, config::Log& log, Outside outside, Times times);

    /// `asker` may be null; `by` is for the log.
    void ask(std::shared_ptr<Asker> asker, const std::string& by);
    /// True if it was the child that checks.
    bool on_exit(pid_t pid, int status);
    /// The program stops.
    void give_up();
    bool is_busy() const { return phase_ != Phase::idle; }

    // ---- the exec
    /// Out of the loop, with signals held: whether it is still wanted, and nothing is half done. False: it goes on in
    /// the loop.
    bool ready_to_execute();
    Memory memory() const;
    const std::string& program() const { return outside_.program; }
    const std::vector<std::string>& arguments() const { return outside_.arguments; }
    /// The exec came back.
    void not_executed(const std::string& why);

    // ---- in the new program
    void resume(const Memory& memory, std::shared_ptr<Asker> asker);
    /// The new proxy serves, or (`failure`) does not.
    void took_over(const std::string& failure);

    const std::array<std::uint64_t, control::upgrade_results>& counts() const { return counts_; }
    /// Why the last one did not come about; empty when it did.
    const std::string& last_failure() const { return last_failure_; }

 private:
    enum class Phase : std::uint8_t { idle, waiting, checking, executing, resumed };
    void begin();
    void check();
    void finish(Result result, const std::string& why);

    config::Log& log_;
    const Outside outside_;
    const Times times_;
    boost::asio::steady_timer timer_;
    Phase phase_ = Phase::idle;
    std::shared_ptr<Asker> asker_;
    StateCheck check_;
    std::optional<FileIdentity> checked_;
    TimePoint begun_{};
    bool too_late_ = false;
    std::string before_;  // the version that was
    std::array<std::uint64_t, control::upgrade_results> counts_{};
    std::string last_failure_;
};

}  // namespace edgeproxy::master
