// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "proxy/exchange.hpp"
#include "proxy/identity.hpp"
#include "proxy/lane.hpp"
#include "proxy/min_rate.hpp"
#include "tls/stream.hpp"

namespace edgeproxy::proxy {

class Connection;

/// Something that may be cut when memory is short.
struct Holding {
    std::size_t bytes = 0;  ///< that it holds
    Connection* connection = nullptr;
    Exchange* stream = nullptr;  ///< of HTTP/2; null = the whole connection
};

/// One accepted connection of a client: its bytes, where it came in, and its place in the lane's list. Lives as long as
/// the coroutine that serves it.
class Connection final : io::Socket::Pace {
 public:
    Connection(Lane& lane, const ListenerPlan& plan, io::UniqueFd fd, const io::Peer& peer, std::uint16_t local_port,
               Limits::Seat seat = {});
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Lane& lane() const { return lane_; }
    /// May change from one turn of the loop to the next: nothing of it may be held while something is awaited.
    const ListenerPlan& plan() const { return *plan_; }
    const config::Listener& listener() const { return *plan_->listener; }
    tls::Stream& stream() { return stream_; }
    const tls::Stream& stream() const { return stream_; }
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

    /// A balancer has told who is behind it: `peer`, who has come to `local_port`.
    void stands_for(const io::Peer& peer, std::uint16_t local_port);
    Limits::Seat& seat() { return seat_; }
    bool is_trusted_peer() const {
        return peer_.is_ip && is_within(peer_.ip, lane_.snapshot->config->client_ip.trusted_proxies);
    }

    /// Nothing of a request is here: the connection may be closed without harm.
    void idle(bool is) {
        if (is == idle_) return;
        idle_ = is;
        if (is) {
            join_idle();
        } else {
            leave_idle();
        }
        mark_.idle(is);
    }
    io::TimePoint idle_since() const { return idle_since_; }
    admin::ConnectionMark& mark() { return mark_; }
    /// The lane drains: wakes an idle connection, which then closes; a busy one closes after its answer. So does one
    /// whose client has begun to speak by now: a close would take its request away from it.
    void drain();
    /// The configuration was reloaded: goes by `plan` from now on. Null when its listener is no more: it keeps its plan
    /// of `before` and drains.
    void adopt(const ListenerPlan* plan, const SnapshotRef& before);
    /// Serves nothing further: the lane drains, or the listener is no more.
    bool closing() const { return lane_.draining || static_cast<bool>(pinned_); }
    /// While closing: one more request may come.
    bool patient() const { return lane_.patience > io::Duration::zero() && !pinned_; }
    /// Nobody is kept after an answer.
    bool keeps_nobody() const { return lane_.keeps_nobody() || static_cast<bool>(pinned_); }
    /// It is idle and its place is wanted: it closes as `drain` says, an HTTP/2 client is told.
    void let_go();
    /// Its memory is wanted: the client gets a reset, whatever is under way.
    void cut();
    /// Bytes of memory that it holds besides itself.
    std::size_t held() const;
    /// Why its client is gone or given up: a word of `loss`. The first reason is the one that counts.
    std::string_view loss() const { return loss_; }
    void lost(std::string_view why) {
        if (loss_ == loss::client_gone) loss_ = why;
    }
    /// What can be cut, with the bytes that this would give back: its streams, or all of it.
    void list_holdings(std::vector<Holding>& holdings);
    /// Whoever serves the connection, for as long as it does.
    struct Server {
        /// Called by `drain` instead of waking the reader, and by `let_go`. False: it does not mind the difference.
        virtual bool drain_asked() { return false; }
        virtual bool end_asked() { return false; }
        /// The connection was cut.
        virtual void was_cut() {}
        /// Adds its streams. None: the connection is cut as a whole.
        virtual void list_streams(std::vector<Holding>&) {}
        /// One of them is to end, its memory is wanted.
        virtual void cut_stream(Exchange&) {}
        /// Bytes of memory that serving it takes.
        virtual std::size_t held() const = 0;

     protected:
        ~Server() = default;
    };
    void served_by(Server* server) { server_ = server; }
    void cut_stream(Exchange& stream) {
        if (server_ != nullptr) server_->cut_stream(stream);
    }

    Connection* next() const { return next_; }

 private:
    void join_idle();
    void leave_idle();
    io::TimePoint waits(io::TimePoint now, std::int64_t taken) override;
    void goes_on(io::TimePoint now) override { watch_.stop(now); }
    void gave_up(bool slow) override {
        lane_.cells->hit(slow ? admin::Limit::response_rate : admin::Limit::write);
        lost(slow ? loss::response_rate : loss::write_timeout);
    }
    void local_port(std::uint16_t port);

    Lane& lane_;
    const ListenerPlan* plan_;  ///< of the lane's snapshot, or of `pinned_`
    SnapshotRef pinned_;        ///< the last one that had the listener
    io::Peer peer_;
    io::TimePoint old_at_;
    bool idle_ = false;
    std::uint8_t port_size_ = 0;
    std::array<char, 5> port_;
    bool asks_certificate_ = false;
    std::unique_ptr<const tls::ClientIdentity> certificate_;  ///< null without one
    std::optional<io::TimePoint> handshake_since_;
    admin::ConnectionMark mark_;
    Limits::Seat seat_;
    RateWatch watch_;
    std::int64_t taken_ = 0;
    std::string_view loss_ = loss::client_gone;
    io::TimePoint idle_since_{};
    tls::Stream stream_;
    Server* server_ = nullptr;
    Connection* idle_next_ = nullptr;
    Connection* idle_prev_ = nullptr;
    Connection* next_ = nullptr;
    Connection* prev_ = nullptr;
};

/// Serves one connection from its handshake to its end. Spawned on the lane's reactor; never fails, whatever goes wrong
/// ends the connection.
io::Task<void> serve_connection(std::unique_ptr<Connection> connection);

}  // namespace edgeproxy::proxy
