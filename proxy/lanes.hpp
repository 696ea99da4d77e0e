// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "proxy/lane.hpp"
#include "proxy/listener.hpp"

namespace edgeproxy::proxy {

/// A listening socket as the master handed it over, and which listener of the plan it belongs to.
struct Door {
    std::size_t plan = 0;  ///< into Snapshot::listeners
    std::uint16_t port = 0;
    std::shared_ptr<const io::UniqueFd> socket;
};

/// The reactor threads of the proxy and what lives on them. All calls from the control thread; they reach the lanes by
/// message.
class Lanes {
 public:
    /// `access_log` may be null. All references outlive this.
    Lanes(unsigned count, io::Clock& clock, config::Log& log, admin::AccessLog* access_log);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    std::vector<io::Reactor*> reactors() const;
    std::vector<const admin::LaneCells*> cells() const;

    /// Starts the threads: each adopts the snapshot, opens the doors and serves.
    void start(std::shared_ptr<const Snapshot> snapshot, const std::vector<Door>& doors);
    /// The lanes serve with this one from now on, over the same doors: the listeners must be the same. Connections keep
    /// the one that they were accepted with.
    void adopt(std::shared_ptr<const Snapshot> snapshot);
    /// Closes the doors (after accepting who waits), answers with `Connection: close`, closes idle connections.
    void drain();
    /// Connections still open, as each lane said last. Zero once all have been told to drain and are empty.
    std::size_t open() const { return open_.load(std::memory_order_relaxed); }

    /// What all lanes share; the control thread configures it.
    Limits& limits() { return limits_; }
    /// Memory is so short from now on.
    void pressure(Pressure level);
    /// The lanes together give back about so many bytes: connections are reset, those that hold most first.
    void cut(std::uint64_t bytes);
    /// Lanes that refuse requests because their loop lags.
    unsigned lagging() const;
    /// Ends everything that still goes on, and the threads. Idempotent.
    void stop();

 private:
    struct Room;
    void run(Room& room);
    static io::Task<void> tick(Lanes& lanes, Room& room);
    void look_after(Room& room, io::TimePoint now, io::Duration late);

    HandshakeRate handshake_rate_{std::random_device{}() | std::uint64_t{std::random_device{}()} << 32};
    Limits limits_;
    std::vector<std::unique_ptr<Room>> rooms_;
    std::atomic<std::size_t> open_{0};
    bool stopped_ = false;
};

}  // namespace edgeproxy::proxy
