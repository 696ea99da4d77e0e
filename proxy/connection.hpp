// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <memory>
#include <optional>

#include "proxy/identity.hpp"
#include "proxy/lane.hpp"
#include "tls/stream.hpp"

namespace edgeproxy::proxy {

/// One accepted connection of a client: its bytes, where it came in, and its place in the lane's list. Lives as long as
/// the coroutine that serves it.
class Connection {
 public:
    Connection(Lane& lane, const ListenerPlan& plan, io::UniqueFd fd, const io::Peer& peer, std::uint16_t local_port);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Lane& lane() const { return lane_; }
    const ListenerPlan& plan() const { return plan_; }
    const config::Listener& listener() const { return *plan_.listener; }
    tls::Stream& stream() { return stream_; }
    io::Socket& socket() const { return stream_.socket(); }
    const io::Peer& peer() const { return peer_; }
    Arrival arrival() const {
        return {peer_, stream_.is_tls(), {port_.data(), port_size_}, asks_certificate_, certificate_.get()};
    }
    /// Of the client's certificate; empty without one.
    std::string_view certificate_subject() const;
    /// The handshake is done: notes who the client is. False: its certificate cannot be told.
    bool meet_client();
    /// A TLS handshake is under way, counted in the lane, from `since` on; nothing = it is not.
    void handshake(std::optional<io::TimePoint> since);
    std::optional<io::TimePoint> handshake_since() const { return handshake_since_; }
    io::TimePoint now() const { return lane_.reactor.now(); }
    /// From then on it is asked to end. Connections that began together do not end together.
    io::TimePoint old_at() const { return old_at_; }

    /// Nothing of a request is here: the connection may be closed without harm.
    void idle(bool is) {
        idle_ = is;
        mark_.idle(is);
    }
    admin::ConnectionMark& mark() { return mark_; }
    /// The lane drains: wakes an idle connection, which then closes; a busy one closes after its answer.
    void drain();
    /// For HTTP/2: called by `drain` instead of waking the reader.
    struct Drainable {
        virtual void drain_asked() = 0;

     protected:
        ~Drainable() = default;
    };
    void on_drain(Drainable* drainable) { drainable_ = drainable; }

    Connection* next() const { return next_; }

 private:
    Lane& lane_;
    const ListenerPlan& plan_;
    std::shared_ptr<const Snapshot> snapshot_;  ///< keeps the plan alive
    io::Peer peer_;
    io::TimePoint old_at_;
    bool idle_ = false;
    std::uint8_t port_size_ = 0;
    std::array<char, 5> port_;
    bool asks_certificate_ = false;
    std::unique_ptr<const tls::ClientIdentity> certificate_;  ///< null without one
    std::optional<io::TimePoint> handshake_since_;
    admin::ConnectionMark mark_;
    tls::Stream stream_;
    Drainable* drainable_ = nullptr;
    Connection* next_ = nullptr;
    Connection* prev_ = nullptr;
};

/// Serves one connection from its handshake to its end. Spawned on the lane's reactor; never fails, whatever goes wrong
/// ends the connection.
io::Task<void> serve_connection(std::unique_ptr<Connection> connection);

}  // namespace edgeproxy::proxy
