// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "upstream/master/crew.hpp"

namespace edgeproxy::master {

/// All crews, and what can be asked of them while they run. Whoever takes orders (signals, control socket, reload)
/// asks here.
///
/// Asked on the loop's thread, in every phase; while the program stops everything is refused. `Told` comes once, later
/// or at once, also on the loop's thread, and must not destroy the fleet.
class Fleet {
 public:
    explicit Fleet(const Workplace& workplace) : workplace_(workplace) {}

    /// A further pool. Not started yet.
    Crew& add(CrewPlan plan);
    /// The pool that has left the configuration: its workers drain and go, then it is forgotten. Nothing when unknown.
    void retire(std::string_view pool);
    /// Null when there is none of that name (or it is retired).
    Crew* find(std::string_view pool) const;
    /// In the order in which they were added, retired ones included until their last worker is gone.
    const std::vector<std::unique_ptr<Crew>>& crews() const { return crews_; }
    /// Every pool, or the one named: all its workers are replaced, see Crew::roll. False when unknown.
    bool roll(std::string_view pool, control::RestartReason reason, const RollTold& told = {});
    /// `told` comes once for each pool.
    void roll_all(control::RestartReason reason, const RollTold& told = {});

    // ---- of the house
    void start(bool proxy_ready);
    void proxy_changed(bool ready);
    void introduce(const std::function<void(control::Message)>& tell);
    void await_answers(bool waits);
    void hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why);
    void hear_rejected(control::Incarnation incarnation, const std::string& why);
    void hear_stats(const control::Stats& stats);
    void kill_group_of(pid_t pid);
    /// True if the process was a worker.
    bool on_exit(pid_t pid, int status);
    void report_usage();
    void stop();
    void kill();
    bool is_empty() const;
    /// Of all pools, see Crew.
    std::vector<control::Incarnation> serving() const;
    std::string half_done(bool& lasting) const;
    std::vector<Crew::Memory> memory() const;
    void resume(const std::vector<Crew::Memory>& memories);

 private:
    const Workplace& workplace_;
    std::vector<std::unique_ptr<Crew>> crews_;
};

}  // namespace edgeproxy::master
