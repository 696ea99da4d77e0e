// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "upstream/master/log_pipe.hpp"
#include "upstream/master/process.hpp"
#include "upstream/master/recycling.hpp"
#include "upstream/master/worker.hpp"
#include "upstream/master/worker_socket.hpp"
#include "upstream/master/workplace.hpp"

namespace edgeproxy::master {

/// What the workers of a pool are started from.
struct CrewPlan {
    std::shared_ptr<const config::Pool> pool;
    std::optional<Identity> identity;  ///< as whom they run; empty = as we do

    /// A worker that is started with it is like one started with the other.
    bool starts_like(const CrewPlan& other) const;
};

/// The way of a start, for the report when it goes wrong. Not reached points are empty.
struct Journey {
    TimePoint begun{};
    std::optional<TimePoint> executed;  ///< the program runs
    std::optional<TimePoint> answered;  ///< the readiness probe was answered

    /// "prepared and executed in 3 ms, answered after 354 ms"; "..., no answer in 60000 ms".
    std::string text(TimePoint now) const;
    bool operator==(const Journey&) const = default;
};

/// One process in a slot with everything that belongs to it: machine, socket, log pipes, last lines.
struct IncarnationProcess {
    IncarnationProcess(control::Incarnation number, CrewPlan from, std::uint32_t in_slot, WorkerPolicy policy,
                       TimePoint now, bool clocks_run)
        : id(number), plan(std::move(from)), slot(in_slot), machine(policy, now, clocks_run) {}

    const control::Incarnation id;
    const CrewPlan plan;
    const std::uint32_t slot;
    Worker machine;
    Process process;
    std::unique_ptr<WorkerSocket> socket;
    LineRing lines;                     // standard output and error together
    std::unique_ptr<LogPipe> out, err;  // after `lines`: they write into it
    Journey journey;
    std::int64_t started_at = 0;  ///< seconds since 1970
    std::uint64_t rss_bytes = 0;  ///< when last measured
    control::WorkerStats stats;   ///< the proxy's last count
    std::string rejected;         ///< why its last answer to the readiness probe does not count
    std::string sickness;         ///< why the proxy calls it unhealthy, while the machine says that it is
    std::int64_t sick_since = 0;  ///< seconds since 1970
    std::string elsewhere;        ///< where it listened instead, when its start took too long
    Recycling recycling;          ///< when it has served long enough
    bool replaces = false;        ///< started by a roll
    control::DrainReason drain_reason = control::DrainReason::request;  ///< while it drains

    /// A signal to its whole process group.
    void signal(int number) const;

    /// What the next program needs to go on with it.
    struct Memory {
        control::Incarnation id = 0;
        pid_t pid = -1;
        Worker::Memory machine;
        WorkerSocket::Memory socket;
        std::vector<std::string> lines;  ///< the last ones that it wrote
        int out = -1, err = -1;          ///< our ends of its pipes
        LineSplitter::Memory out_rest, err_rest;
        Journey journey;
        std::int64_t started_at = 0;
        std::uint64_t rss_bytes = 0, requests = 0, in_flight = 0;
        std::string rejected, sickness;
        std::int64_t sick_since = 0;
        Recycling::Memory recycling;
        bool replaces = false;
        control::DrainReason drain_reason = control::DrainReason::request;
        bool operator==(const Memory&) const = default;
    };
    Memory memory() const;
};

/// A process that an earlier program had started, from now on ours. Its descriptors are taken.
std::unique_ptr<IncarnationProcess> adopt_incarnation(const Workplace& workplace, const CrewPlan& plan,
                                                      std::uint32_t slot, WorkerPolicy policy,
                                                      const IncarnationProcess::Memory& memory);

/// Makes the socket and the pipes and starts the process. Null on failure, with one sentence in `error`; nothing is
/// left behind.
std::unique_ptr<IncarnationProcess> start_incarnation(const Workplace& workplace, const CrewPlan& plan,
                                                      std::uint32_t slot, WorkerPolicy policy, bool clocks_run,
                                                      std::string& error);

}  // namespace edgeproxy::master
