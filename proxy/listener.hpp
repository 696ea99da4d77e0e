// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>

#include "proxy/lane.hpp"

namespace edgeproxy::proxy {

/// A listening socket as the master handed it over, and which listener of the plan it belongs to.
struct Door {
    std::size_t plan = 0;  ///< into Snapshot::listeners
    std::uint16_t port = 0;
    std::shared_ptr<const io::UniqueFd> socket;
    std::uint64_t id = 0;  ///< of control::ListenerSocket
};

/// Accepts connections of one listening socket on one lane. All lanes share the socket; the kernel wakes one of them.
///
/// At the limit of connections the one that is idle for longest goes for the newcomer. When none is idle, when
/// descriptors or memory run out, or handshakes pile up, accepting pauses for `pause`; the backlog holds the newcomers.
/// A source that has as many connections as it may is turned away. On the lane's reactor thread; outlives nothing that
/// it made.
class Listener final : io::Source, io::Timer {
 public:
    static constexpr unsigned batch =
        16;  ///< accepted a turn, so that established traffic and the other lanes get theirs
    static constexpr io::Duration pause = std::chrono::milliseconds(100);

    /// `door.socket` is listening and non-blocking.
    Listener(Lane& lane, const ListenerPlan& plan, const Door& door);
    ~Listener();

    std::uint64_t id() const { return id_; }
    std::size_t index() const { return plan_->index; }
    /// Another snapshot: newcomers get this plan.
    void adopt(const ListenerPlan& plan) { plan_ = &plan; }
    /// Accepts until nobody waits any more, then takes no more. The socket closes with the last lane's listener.
    void close();

 private:
    enum class Accepted : std::uint8_t { one, none, exhausted };
    void ready(Events events) override;
    void expired(io::TimePoint now) override;
    bool somebody_waits() const;
    bool may_accept();
    Accepted accept_one();
    bool may_shake_hands(const io::Peer& peer);
    Accepted out_of_descriptors(bool turn_one_away);
    bool admit(io::UniqueFd& fd, const io::Peer& peer, Limits::Seat& seat);
    void turn_away(io::UniqueFd fd);
    void rest();

    Lane& lane_;
    const ListenerPlan* plan_;  ///< of the lane's snapshot
    const std::uint64_t id_;
    std::shared_ptr<const io::UniqueFd> socket_;
    std::uint16_t port_;
    io::UniqueFd spare_;  ///< given up for a moment to answer one newcomer when there is no descriptor left
    bool registered_ = false;
    bool closed_ = false;
};

}  // namespace edgeproxy::proxy
