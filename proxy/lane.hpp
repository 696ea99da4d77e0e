// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <memory>

#include "proxy/admin/access_log.hpp"
#include "proxy/admin/cells.hpp"
#include "proxy/answer.hpp"
#include "proxy/handshake_rate.hpp"
#include "proxy/http/message.hpp"
#include "proxy/identity.hpp"
#include "proxy/limits.hpp"
#include "proxy/object_pool.hpp"
#include "proxy/pressure.hpp"
#include "proxy/request_id.hpp"
#include "proxy/snapshot.hpp"
#include "proxy/wall_clock.hpp"
#include "tls/windows.hpp"

namespace edgeproxy::proxy {

class Connection;
class Tunnel;

/// The memory of one request: its head with the fields, and small texts. 14 KB, so pooled; a connection between two
/// requests has none.
struct Workspace {
    http::Request request;
    Identity identity;
    http::Trailers request_trailers{http::Trailers::OddNames::drop};
    std::array<char, RequestIds::size> request_id_text;
    std::string_view request_id;
    SnapshotRef snapshot;  ///< what this exchange goes by, whatever is reloaded meanwhile; set by `dispatch`
};

/// Everything that one reactor thread of the proxy owns. Nothing in it is touched by another thread, but `cells` are
/// read.
struct Lane {
    Lane(unsigned index, io::Clock& clock) : reactor(index, clock), windows(reactor) {}
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    io::Reactor reactor;
    tls::Windows windows;
    SnapshotRef snapshot;  ///< the configuration in force
    admin::LaneCells* cells = nullptr;
    admin::AccessLog* access_log = nullptr;  ///< null = off
    ObjectPool<Workspace> workspaces;
    ObjectPool<Answer> answers;
    RequestIds ids;
    WallClock wall;

    Connection* connections = nullptr;  ///< all of this lane, linked
    std::size_t open = 0;
    std::size_t handshakes = 0;               ///< TLS, under way: the client has begun to speak
    HandshakeRate* handshake_rate = nullptr;  ///< of all lanes
    Connection* idle_first = nullptr;  ///< those without a request, linked, the one that is idle for longest first
    Connection* idle_last = nullptr;
    Tunnel* tunnels = nullptr;  ///< all of this lane, linked
    io::Duration patience{};    ///< while draining, see `drain`
    bool draining = false;      ///< answer with `Connection: close` / GOAWAY, keep nobody

    Limits* limits = nullptr;  ///< null in tests that have none
    Pressure pressure = Pressure::none;
    bool lags = false;     ///< the loop is overloaded
    bool guarded = false;  ///< requests are looked at before they are served: memory, lag, or a rate of their source

    /// Nobody keeps a connection after an answer.
    bool keeps_nobody() const { return draining || pressure != Pressure::none; }

    /// Serves what is in flight and then closes; tunnels stay. Idle connections close now; with `patience` an HTTP/1
    /// client may bring one more request for so long, since it cannot know yet that its connection ends.
    void drain(io::Duration patience = {});
    /// While draining: closes those whose patience is over.
    void close_idle();
    /// Each with a close frame.
    void close_tunnels(std::uint16_t code);

    /// Handshakes under way; beyond it accepting pauses, and who dawdles is closed.
    static constexpr std::size_t max_handshakes = 256;
    static constexpr io::Duration handshake_patience = std::chrono::seconds(1);
    /// Closes the connections whose handshake takes longer than `handshake_patience`: half-open ones must not keep the
    /// others out.
    void hurry_handshakes();

    // Overload; each counts what it does.

    /// Tells the connection that is idle for longest to go. False: none is idle.
    bool evict(admin::Limit why);
    /// Connections without a request for longer than this go, at most `most` of them.
    void evict_older(io::Duration idle, unsigned most, admin::Limit why);
    /// Resets streams of HTTP/2 and connections until they have given back so many bytes, those that hold most first.
    /// An HTTP/2 connection goes as a whole only when it has no stream.
    void cut(std::uint64_t bytes);
    /// A while is over: what the pools did not need of late goes back to the heap.
    void settle();
    /// A new level of memory pressure, or of lag: sets `guarded`.
    void judge(Pressure now, bool lagging);
};

}  // namespace edgeproxy::proxy
