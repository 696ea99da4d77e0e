// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/address.hpp"
#include "tls/client_context.hpp"
#include "tls/io/ip.hpp"
#include "upstream/balancer.hpp"
#include "upstream/control/message.hpp"
#include "upstream/counters.hpp"
#include "upstream/gate.hpp"
#include "upstream/lease.hpp"
#include "upstream/outlier.hpp"
#include "upstream/shared.hpp"
#include "upstream/waiting_line.hpp"

namespace edgeproxy::upstream {

/// How an endpoint is spoken to. Never changes.
struct Transport {
    enum class Http : std::uint8_t {
        one,    ///< HTTP/1.1
        two,    ///< HTTP/2: by prior knowledge, over TLS by ALPN
        either  ///< what ALPN gives
    };
    Http http = Http::one;
    std::shared_ptr<const tls::ClientContext> tls;  ///< null = plain
    std::string host;                               ///< of the certificate; with `tls`

    bool operator==(const Transport&) const = default;
};

/// What `protocol` of a pool asks for.
Transport::Http http_of(config::PoolProtocol protocol);

/// What is offered by ALPN for it: tls::ClientPeer::protocols.
std::string_view alpn_offer(Transport::Http http);

/// Who an endpoint is. Never changes.
struct EndpointIdentity {
    EndpointId id = 0;
    std::string pool;
    std::string
        name;  ///< the label: a worker's slot (`app-1`) over all its incarnations, or the name in the configuration
    config::Address address;               ///< literal or unix
    control::Incarnation incarnation = 0;  ///< of a worker; 0 for an external endpoint
    std::int32_t pid = 0;                  ///< of a worker
    Transport transport;
    std::string authority;  ///< what a Host of its own says: `name:port` as configured, `localhost` for unix
};

/// What one reactor has of one endpoint. Touched by that reactor only (counters: read by anybody).
struct alignas(64) EndpointShare {
    EndpointShare(io::Reactor& reactor, EndpointCells& cells) : cells(cells), idle(reactor) {}

    EndpointCells& cells;  ///< of the endpoint's name, this reactor's
    Cell requests;         ///< admitted since this endpoint exists
    IdleConnections idle;
    SharedConnections shared;
    std::shared_ptr<tls::Resumption> resumption;  ///< with TLS
};

/// One address of a pool: a worker's socket, or a server that somebody else runs.
///
/// Made and freed by the control thread (Roster). Whoever holds a place at its gate, or a tunnel, keeps it alive; so
/// does a reactor that has not yet heard that it left.
class Endpoint {
 public:
    /// `cells`: one per reactor, in order; they outlive the endpoint. Throws if the address is no literal.
    Endpoint(EndpointIdentity identity, std::uint32_t limit, std::span<io::Reactor* const> reactors,
             std::span<EndpointCells> cells);

    const EndpointIdentity& identity() const { return identity_; }
    EndpointId id() const { return identity_.id; }
    const std::string& name() const { return identity_.name; }
    const io::SocketAddress& address() const { return address_; }
    /// A process of ours is behind it.
    bool is_worker() const { return identity_.incarnation != 0; }
    /// The worker is known to be dead (or the endpoint was removed and emptied). Any thread.
    bool gone() const { return hot_.gate.read().state() == EndpointState::down; }

    /// The worker hangs and is being ended. Any thread.
    void condemn() { condemned_.store(true, std::memory_order_relaxed); }
    bool condemned() const { return condemned_.load(std::memory_order_relaxed); }

    Gate& gate() { return hot_.gate; }
    const Gate& gate() const { return hot_.gate; }
    /// Returns when it will be over; the gate's cold bit is the caller's to clear then.
    io::TimePoint begin_slow_start(io::TimePoint now);
    FailureStreak& streak() { return hot_.streak; }
    EndpointShare& share(std::size_t reactor) { return *shares_[reactor]; }
    EndpointView view(std::uint32_t weight) const { return {&hot_.gate, &hot_.slow_start, weight}; }

    /// Requests admitted since it exists, over all reactors. Any thread.
    std::uint64_t requests() const;
    /// Idle connections over all reactors. Any thread.
    std::uint32_t idle_connections() const;

 private:
    /// What every request touches: one cache line of its own.
    struct alignas(64) Hot {
        explicit Hot(std::uint32_t limit) : gate(limit) {}
        Gate gate;
        SlowStart slow_start;
        FailureStreak streak;
    };

    Hot hot_;
    std::atomic<bool> condemned_{false};
    const EndpointIdentity identity_;
    io::SocketAddress address_;
    std::vector<std::unique_ptr<EndpointShare>> shares_;
};

}  // namespace edgeproxy::upstream
