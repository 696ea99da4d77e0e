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

/// The reactor threads of the proxy and what lives on them. All calls from the control thread; they reach the lanes by
/// message.
class Lanes {
 public:
    /// `give_back` gets snapshots that a lane needs no more, on its thread; it carries them to the control thread. All
    /// references outlive this.
    Lanes(unsigned count, io::Clock& clock, config::Log& log, SnapshotRef::GiveBack give_back);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    std::vector<io::Reactor*> reactors() const;
    std::vector<const admin::LaneCells*> cells() const;

    /// Starts the threads: each adopts the snapshot, opens the doors and serves. `access_log` may be null = off.
    void start(std::shared_ptr<const Snapshot> snapshot, const std::vector<Door>& doors, admin::AccessLog* access_log);
    /// Another configuration: every lane takes it over in one turn of its loop. Doors with a known id stay open, new
    /// ones are opened, the others closed after accepting who waits; their connections drain. `done` is called on a
    /// lane's thread, once the last one has.
    void adopt(const std::shared_ptr<const Snapshot>& snapshot, const std::vector<Door>& doors,
               admin::AccessLog* access_log, std::function<void()> done);
    /// The same listeners and doors with another snapshot, as when a certificate was replaced.
    void adopt(const std::shared_ptr<const Snapshot>& snapshot);
    /// Closes the doors (after accepting who waits), answers with `Connection: close`, closes idle connections, see
    /// Lane::drain. Tunnels stay until `close_tunnels`.
    void drain(io::Duration patience);
    /// Tells both sides of every tunnel at its next frame boundary (RFC 6455, section 7.4).
    void close_tunnels(std::uint16_t code);
    /// Connections still open, as each lane said last, and one for each lane that has still to begin its drain: zero
    /// once all of them have begun it and are empty.
    std::size_t open() const;

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
    void take_over(Room& room, const SnapshotRef& snapshot, const std::vector<Door>* doors);
    void change_doors(Room& room, const std::vector<Door>& doors);
    static io::Task<void> tick(Lanes& lanes, Room& room);
    void look_after(Room& room, io::TimePoint now, io::Duration late);

    const SnapshotRef::GiveBack give_back_;
    HandshakeRate handshake_rate_{std::random_device{}() | std::uint64_t{std::random_device{}()} << 32};
    Limits limits_;
    std::vector<std::unique_ptr<Room>> rooms_;
    std::atomic<std::size_t> open_{0};
    std::atomic<std::size_t> still_to_drain_{0};  ///< lanes that were told to and have not had their turn
    bool stopped_ = false;
};

}  // namespace edgeproxy::proxy
