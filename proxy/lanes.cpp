// SPDX-License-Identifier: Apache-2.0
#include "proxy/lanes.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "proxy/connection.hpp"

namespace edgeproxy::proxy {
namespace {

/// How often a lane looks at itself: its lag, its number of connections.
constexpr io::Duration tick_interval = std::chrono::milliseconds(100);
/// How often its pools give back what they did not need, in ticks.
constexpr unsigned settle_ticks = 20;
/// While memory is short a connection may be without a request for so long.
constexpr io::Duration saving_keepalive = std::chrono::seconds(2);
/// Connections that a tick tells to go, at most.
constexpr unsigned most_evicted = 256;

/// Turns of the loop that a lane has for ending what was cancelled; a frame that is still there then is a bug, and is
/// reported by the leak checkers rather than waited for.
constexpr unsigned last_turns = 1000;

}  // namespace

struct Lanes::Room {
    Room(unsigned index, io::Clock& clock) : lane(index, clock) {}
    admin::LaneCells cells;
    Lane lane;
    unsigned ticks = 0;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::size_t told_open = 0;
    std::uint64_t told_exceptions = 0;
    Pressure pressure = Pressure::none;
    LoopLag lag;
    std::atomic<bool> lags{false};
    unsigned wanted = 0;  ///< of Limits::wanted, how many this lane has looked at
    bool ending = false;
    std::jthread thread;
};

Lanes::Lanes(unsigned count, io::Clock& clock, config::Log& log, SnapshotRef::GiveBack give_back)
    : give_back_(std::move(give_back)), limits_(log) {
    for (unsigned i = 0; i < count; ++i) {
        rooms_.push_back(std::make_unique<Room>(i, clock));
        rooms_.back()->lane.cells = &rooms_.back()->cells;
        rooms_.back()->lane.handshake_rate = &handshake_rate_;
        rooms_.back()->lane.limits = &limits_;
    }
}

Lanes::~Lanes() {
    stop();
}

std::vector<io::Reactor*> Lanes::reactors() const {
    std::vector<io::Reactor*> all;
    for (const auto& room : rooms_) all.push_back(&room->lane.reactor);
    return all;
}

std::vector<const admin::LaneCells*> Lanes::cells() const {
    std::vector<const admin::LaneCells*> all;
    for (const auto& room : rooms_) all.push_back(&room->cells);
    return all;
}

io::Task<void> Lanes::tick(Lanes& lanes, Room& room) {
    io::Reactor& reactor = room.lane.reactor;
    while (!room.ending) {
        const std::size_t open = room.lane.open;
        lanes.open_.fetch_add(open - std::exchange(room.told_open, open), std::memory_order_relaxed);
        const io::TimePoint due = reactor.precise_now() + tick_interval;
        const auto slept = co_await io::Sleep{reactor, due};
        if (!slept) break;
        const io::TimePoint now = reactor.precise_now();
        // The wheel itself may be a tick late; what is later is the loop.
        const io::Duration late = std::max(now - due - io::TimerWheel::tick, io::Duration::zero());
        room.cells.ticked(now, late);
        const std::uint64_t exceptions = reactor.exceptions();
        room.cells.count_exceptions(exceptions - std::exchange(room.told_exceptions, exceptions));
        lanes.look_after(room, now, late);
    }
}

/// Overload: what this lane does about its lag, short memory and too many connections.
void Lanes::look_after(Room& room, io::TimePoint now, io::Duration late) {
    Lane& lane = room.lane;
    // Lag that handshakes cause keeps newcomers out (Listener); it is no reason to refuse those who are in.
    const bool handshakes = lane.windows.waiting() > 0;
    const io::Duration limit = lane.snapshot->config->limits.loop_lag;
    const bool lags = room.lag.observe(now, handshakes ? io::Duration::zero() : late, limit);
    room.lags.store(lags, std::memory_order_relaxed);
    lane.judge(room.pressure, lags);
    lane.reactor.descriptor_ceiling(limits_.endpoint_ceiling());
    if (room.pressure != Pressure::none) lane.evict_older(saving_keepalive, most_evicted, admin::Limit::memory_saving);
    if (lane.draining) lane.close_idle();
    if (++room.ticks % settle_ticks == 0) lane.settle();
    // The limit was lowered, or another lane has no room and nobody who is idle.
    const std::size_t open = limits_.open(), most = limits_.most();
    std::size_t surplus = open > most ? open - most : 0;
    const unsigned asked = limits_.wanted() - std::exchange(room.wanted, limits_.wanted());
    if (asked > 0 && open + 1 > most) ++surplus;
    for (std::size_t i = 0; i < std::min<std::size_t>(surplus, most_evicted); ++i) {
        if (!lane.evict(admin::Limit::max_connections)) break;
    }
}

void Lanes::pressure(Pressure level) {
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.reactor.post([&room, level] {
            room.pressure = level;
            room.lane.judge(level, room.lane.lags);
        });
    }
}

void Lanes::cut(std::uint64_t bytes) {
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.reactor.post([&room, share = bytes / rooms_.size() + 1] { room.lane.cut(share); });
    }
}

unsigned Lanes::lagging() const {
    unsigned count = 0;
    for (const auto& room : rooms_) count += room->lags.load(std::memory_order_relaxed) ? 1 : 0;
    return count;
}

void Lanes::run(Room& room) {
    ::pthread_setname_np(::pthread_self(), ("reactor " + std::to_string(room.lane.reactor.index())).c_str());
    room.cells.ticked(room.lane.reactor.precise_now(), io::Duration::zero());
    room.lane.reactor.spawn(tick(*this, room));
    room.lane.reactor.run();
    room.ending = true;
    room.listeners.clear();
    for (unsigned i = 0; i < last_turns && room.lane.reactor.spawned() > 0; ++i) {
        room.lane.reactor.cancel_all();
        room.lane.reactor.run_once(std::chrono::milliseconds(1));
    }
}

void Lanes::start(std::shared_ptr<const Snapshot> snapshot, const std::vector<Door>& doors,
                  admin::AccessLog* access_log) {
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.access_log = access_log;
        take_over(room, SnapshotRef(snapshot, give_back_), &doors);
        room.thread = std::jthread([this, &room] { run(room); });
    }
}

void Lanes::adopt(const std::shared_ptr<const Snapshot>& snapshot, const std::vector<Door>& doors,
                  admin::AccessLog* access_log, std::function<void()> done) {
    const auto left = std::make_shared<std::atomic<std::size_t>>(rooms_.size());
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.reactor.post([this, &room, hold = SnapshotRef(snapshot, give_back_), doors, access_log, left, done] {
            room.lane.access_log = access_log;
            take_over(room, hold, &doors);
            if (left->fetch_sub(1) == 1) done();
        });
    }
}

void Lanes::adopt(const std::shared_ptr<const Snapshot>& snapshot) {
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.reactor.post(
            [this, &room, hold = SnapshotRef(snapshot, give_back_)] { take_over(room, hold, nullptr); });
    }
}

/// On the lane's thread, or before it runs. Null: the doors stay as they are.
void Lanes::take_over(Room& room, const SnapshotRef& snapshot, const std::vector<Door>* doors) {
    Lane& lane = room.lane;
    const SnapshotRef before = std::exchange(lane.snapshot, snapshot);
    lane.judge(room.pressure, lane.lags);
    if (doors != nullptr) change_doors(room, *doors);
    for (const auto& listener : room.listeners) {
        if (const ListenerPlan* plan = snapshot->find_listener(listener->index())) listener->adopt(*plan);
    }
    for (Connection* connection = lane.connections; connection != nullptr; connection = connection->next())
        connection->adopt(snapshot->find_listener(connection->plan().index), before);
}

/// Opens and closes: afterwards the lane has these doors, each with its plan of the lane's snapshot.
void Lanes::change_doors(Room& room, const std::vector<Door>& doors) {
    Lane& lane = room.lane;
    std::erase_if(room.listeners, [&](const auto& listener) {
        for (const Door& door : doors) {
            if (door.id != listener->id()) continue;
            listener->adopt(lane.snapshot->listeners[door.plan]);
            return false;
        }
        listener->close();
        return true;
    });
    for (const Door& door : doors) {
        const bool open = std::any_of(room.listeners.begin(), room.listeners.end(),
                                      [&](const auto& listener) { return listener->id() == door.id; });
        if (open || lane.draining) continue;
        room.listeners.push_back(std::make_unique<Listener>(lane, lane.snapshot->listeners[door.plan], door));
    }
}

std::size_t Lanes::open() const {
    const std::size_t still_to_drain = still_to_drain_.load(std::memory_order_acquire);
    return still_to_drain + open_.load(std::memory_order_relaxed);
}

void Lanes::drain(io::Duration patience) {
    still_to_drain_.store(rooms_.size(), std::memory_order_relaxed);
    for (const auto& owned : rooms_) {
        Room& room = *owned;
        room.lane.reactor.post([this, &room, patience] {
            room.lane.draining = true;
            for (const auto& listener : room.listeners) listener->close();
            room.lane.drain(patience);
            open_.fetch_add(room.lane.open - std::exchange(room.told_open, room.lane.open), std::memory_order_relaxed);
            still_to_drain_.fetch_sub(1, std::memory_order_release);
        });
    }
}

void Lanes::close_tunnels(std::uint16_t code) {
    for (const auto& owned : rooms_) {
        owned->lane.reactor.post([&lane = owned->lane, code] { lane.close_tunnels(code); });
    }
}

void Lanes::stop() {
    if (std::exchange(stopped_, true)) return;
    for (const auto& room : rooms_) room->lane.reactor.stop();
    for (const auto& room : rooms_) {
        if (room->thread.joinable()) room->thread.join();
    }
}

}  // namespace edgeproxy::proxy
