// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <memory>

#include "proxy/admin/access_log.hpp"
#include "proxy/admin/cells.hpp"
#include "proxy/handshake_rate.hpp"
#include "proxy/http/message.hpp"
#include "proxy/identity.hpp"
#include "proxy/object_pool.hpp"
#include "proxy/request_id.hpp"
#include "proxy/snapshot.hpp"
#include "proxy/wall_clock.hpp"
#include "tls/windows.hpp"

namespace edgeproxy::proxy {

class Connection;
class Tunnel;

/// The memory of one exchange: heads with their fields, and small texts. 30 KB, so pooled; a connection between two
/// requests has none.
struct Workspace {
    http::Request request;
    http::Response response;
    ResponseHead head;
    Identity identity;
    http::Trailers request_trailers, response_trailers;
    std::array<char, RequestIds::size> request_id_text;
    std::string_view request_id;
};

/// Everything that one reactor thread of the proxy owns. Nothing in it is touched by another thread, but `cells` are
/// read.
struct Lane {
    Lane(unsigned index, io::Clock& clock) : reactor(index, clock), windows(reactor) {}
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    io::Reactor reactor;
    tls::Windows windows;
    std::shared_ptr<const Snapshot> snapshot;
    admin::LaneCells* cells = nullptr;
    admin::AccessLog* access_log = nullptr;  ///< null = off
    ObjectPool<Workspace> workspaces;
    RequestIds ids;
    WallClock wall;

    Connection* connections = nullptr;  ///< all of this lane, linked
    std::size_t open = 0;
    std::size_t handshakes = 0;               ///< TLS, under way: the client has begun to speak
    HandshakeRate* handshake_rate = nullptr;  ///< of all lanes
    Tunnel* tunnels = nullptr;                ///< all of this lane, linked
    bool draining = false;                    ///< answer with `Connection: close` / GOAWAY, keep nobody

    /// Serves what is in flight and then closes; idle connections close now, tunnels with a close frame.
    void drain();

    /// Handshakes under way; beyond it accepting pauses, and who dawdles is closed.
    static constexpr std::size_t max_handshakes = 256;
    static constexpr io::Duration handshake_patience = std::chrono::seconds(1);
    /// Closes the connections whose handshake takes longer than `handshake_patience`: half-open ones must not keep the
    /// others out.
    void hurry_handshakes();
};

}  // namespace edgeproxy::proxy
