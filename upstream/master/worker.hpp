// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

#include "tls/io/clock.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::master {

using io::TimePoint;
using std::chrono::milliseconds;

/// A clock that runs down and can stand still. While it stands it is never due.
class Countdown {
 public:
    void start(milliseconds length, TimePoint now, bool running);
    void stop() { now_.left.reset(); }
    void pause(TimePoint now);
    void resume(TimePoint now);
    /// When it is over; empty when it is stopped or stands still.
    std::optional<TimePoint> due() const;

    struct Memory {
        std::optional<milliseconds> left;  ///< at `since` if it runs, else as it stands
        std::optional<TimePoint> since;    ///< running since
        bool operator==(const Memory&) const = default;
    };
    const Memory& memory() const { return now_; }
    void recall(const Memory& memory) { now_ = memory; }

 private:
    Memory now_;
};

enum class WorkerState : std::uint8_t { starting, ready, suspect, draining, stopping, dead };
const char* word(WorkerState state);

enum class WorkerEvent : std::uint8_t {
    answered,    ///< the proxy: the readiness probe was answered
    suspect,     ///< the proxy: it does not read
    resumed,     ///< the proxy: it reads again
    hung,        ///< the proxy: it has not read for `hang.kill_after`
    unhealthy,   ///< the proxy: health probes fail
    healthy,     ///< the proxy: they pass again
    drain,       ///< ours: it shall go (shutdown, restart)
    drained,     ///< the proxy: nothing is in flight on it
    stop,        ///< ours: it shall go, nothing is in flight any more
    kill,        ///< ours: it shall go at once
    deadline,    ///< the time that `due()` told is over
    exited,      ///< the process is dead
    proxy_lost,  ///< no proxy is ready: the clocks of start, health and drain stand still
    proxy_back,  ///< a proxy is ready again: they go on
};

/// What the caller does about an event.
enum class WorkerAction : std::uint8_t {
    nothing,
    announce_drain,  ///< tell the proxy to give it no more requests
    send_stop,       ///< the stop signal to the process group
    send_abort,      ///< ABRT to the process group: Python tells where it stands
    send_kill,       ///< KILL to the process group
    bury,            ///< it is dead: kill what is left of the group, unlink, tell the proxy, tell the slot
};

/// Why it goes, decided at the first event that makes it go.
enum class WorkerEnd : std::uint8_t {
    unasked,        ///< it died by itself
    asked,          ///< drained by our wish
    start_timeout,  ///< no answer in time
    hung,
    unhealthy,
    killed,  ///< by our wish, at once
};

struct WorkerPolicy {
    milliseconds start_timeout{60000};
    milliseconds drain_timeout{30000};
    milliseconds stop_grace_period{10000};  ///< stop signal to KILL
    milliseconds health_kill_after{30000};  ///< unhealthy this long: restarted
    milliseconds abort_grace{2000};         ///< ABRT to KILL: time to write the traceback
    milliseconds drain_margin{1000};        ///< what the proxy may be late with its word that a worker is drained
    milliseconds kill_again{1000};          ///< KILL is repeated at this pace until the process is gone
};

/// The life of one incarnation. Pure: events in, an action out, time as a value.
///
///   starting --answered--> ready <--resumed/suspect--> suspect
///      |  start_timeout: ABRT   | drain       hung: ABRT |
///      |                        v                        |
///      |                    draining --drained/deadline--+--> stopping: stop signal, then KILL
///      +--- exited, from every state ---> dead
///
/// A drain asked while starting goes to stopping at once: nothing is in flight. Unhealthy for `health_kill_after` in
/// ready or suspect goes to draining. Without an answer to a new proxy for `start_timeout` it is hung. An event that
/// says nothing new in a state changes nothing; `dead` is final.
class Worker {
 public:
    /// Spawned at `now`. `clocks_run` is false while no proxy is ready.
    Worker(WorkerPolicy policy, TimePoint now, bool clocks_run);

    /// All of it, for the next program that looks after the process.
    struct Memory {
        WorkerState state = WorkerState::starting;
        WorkerEnd end = WorkerEnd::unasked;
        bool clocks_run = false, unhealthy = false;
        std::optional<TimePoint> ready_since;
        Countdown::Memory clock, health;
        bool operator==(const Memory&) const = default;
    };
    Memory memory() const;
    void recall(const Memory& memory);

    WorkerAction on(WorkerEvent event, TimePoint now);
    /// For `drain`: a time other than the policy's, as at shutdown.
    WorkerAction drain(milliseconds timeout, TimePoint now);

    /// Another proxy looks after it from now on, and sends it nothing before it has answered that one: in
    /// `start_timeout`, or it hangs. `waits`: an earlier proxy still ends what it has on it, so that the time runs from
    /// the next `proxy_back` only.
    void introduce(TimePoint now, bool waits);
    /// Ready or suspect, but only to an earlier proxy.
    bool is_unproven() const { return is_up() && clock_.memory().left.has_value(); }

    /// A debugger is attached: whatever is due gets its whole time once more.
    void postpone(TimePoint now);

    WorkerState state() const { return state_; }
    /// When `deadline` is to be sent, if nothing else comes.
    std::optional<TimePoint> due() const;
    WorkerEnd end() const { return end_; }
    /// True if the proxy ever had an answer from it.
    bool was_ready() const { return ready_since_.has_value(); }
    std::optional<TimePoint> ready_since() const { return ready_since_; }
    bool is_unhealthy() const { return unhealthy_; }

 private:
    bool is_up() const { return state_ == WorkerState::ready || state_ == WorkerState::suspect; }
    WorkerAction serving(WorkerEvent event, TimePoint now);
    WorkerAction begin_drain(WorkerEnd end, milliseconds timeout, TimePoint now);
    WorkerAction stop(WorkerEnd end, WorkerAction action, milliseconds grace, TimePoint now);
    WorkerAction overdue(TimePoint now);
    void clocks(bool run, TimePoint now);

    WorkerPolicy policy_;
    WorkerState state_ = WorkerState::starting;
    WorkerEnd end_ = WorkerEnd::unasked;
    bool clocks_run_;
    bool unhealthy_ = false;
    std::optional<TimePoint> ready_since_;
    Countdown clock_;   // start, first answer to a new proxy, drain or stop
    Countdown health_;  // while unhealthy
};

}  // namespace edgeproxy::master
