// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "config/config.hpp"
#include "tls/io/reactor.hpp"
#include "tls/stream.hpp"
#include "tls/windows.hpp"
#include "upstream/counters.hpp"
#include "upstream/error.hpp"

namespace edgeproxy::upstream {

class Connector;
class Endpoint;
class IdleConnections;

/// One connection to an endpoint: in the hands of one exchange, or idle in the list of its endpoint and reactor.
///
/// Owned by a unique_ptr while in use. Destroying it closes it. Lives and dies on its reactor.
class UpstreamConnection final : io::Socket::IdleWatch {
 public:
    /// After so many requests it is not kept any more: a bound on whatever leaks at the other end.
    static constexpr unsigned max_requests = 1000;

    UpstreamConnection(std::unique_ptr<io::Socket> socket, EndpointCells& cells);
    ~UpstreamConnection();
    UpstreamConnection(const UpstreamConnection&) = delete;
    UpstreamConnection& operator=(const UpstreamConnection&) = delete;

    tls::Stream& stream() { return stream_; }
    io::Socket& socket() { return stream_.socket(); }
    /// It has served an exchange before: an end before the first byte of the answer then means a stale connection.
    bool reused() const { return served_ > 0; }
    /// HTTP/2 is to be spoken on it.
    bool is_http2() const { return http2_; }
    unsigned served() const { return served_; }
    /// The last answer was more than a small buffer holds: the next one probably is.
    bool answers_at_length() const { return at_length_; }
    void answers_at_length(bool does) { at_length_ = does; }

 private:
    friend class IdleConnections;
    friend class Connector;
    void idle_ended(io::Socket& socket) override;
    bool is_clean() const;

    tls::Stream stream_;
    EndpointCells& cells_;
    unsigned served_ = 0;
    bool http2_ = false;
    bool at_length_ = false;
    io::TimePoint idle_since_{};
    std::uint64_t idle_turn_ = 0;      ///< the reactor's turn in which it became idle
    IdleConnections* list_ = nullptr;  ///< while idle
    UpstreamConnection* older_ = nullptr;
    UpstreamConnection* newer_ = nullptr;
};

/// The kept-alive connections to one endpoint that one reactor has at hand: last in, first out (turn by turn), so that
/// the surplus ages and goes. What a burst leaves beyond `max_idle` may stay for `surplus_time`: a load whose requests
/// come in waves would connect anew with every wave.
///
/// A connection that becomes readable or closed while it is idle is closed at once; one that was idle for
/// `idle_timeout` by one timer for the list. All calls on the reactor's thread, but `size`.
///
/// What nobody asked for must never be read as the answer to the next request. Bytes (or an end) are seen by `give` if
/// they came before it read the last of the answer: a read that was not filled found the socket empty at that moment.
/// What comes later makes an edge, which the next wait of the reactor returns if it returns everything that is ready,
/// and the events of a batch are announced before any is delivered. So when a connection is taken in a later turn than
/// it was given, after a wait that has seen all, and nothing of it is announced, it was empty and open when this turn
/// began: that costs no system call. If it was given in this very turn, or the wait was cut off at
/// `Reactor::max_events`, there was no such look, and the kernel is asked (MSG_PEEK): right behind an answer is where
/// bytes too many come. To spare that, those of earlier turns are taken first. What comes after the look, and before
/// the endpoint has read the next request, nobody can tell from an answer.
class IdleConnections final : io::Timer {
 public:
    /// How long a connection beyond `max_idle` may be idle, and how many there may be.
    static constexpr io::Duration surplus_time = std::chrono::seconds(1);
    static constexpr std::uint32_t most_surplus = 256;

    explicit IdleConnections(io::Reactor& reactor) : reactor_(reactor) {}
    /// REQUIRES: closed or empty.
    ~IdleConnections();

    /// The connection that was used last (of those given before this turn, else in it), or null; those that something
    /// has come on are closed. `idle_at_most`: null as well if even that was idle for longer (a request that must not
    /// be sent twice takes no chance with a connection that the endpoint may just be closing).
    std::unique_ptr<UpstreamConnection> take(io::Duration idle_at_most = io::Duration::max());

    /// Keeps the connection for the next request, or closes it: no keep-alive, `max_idle` + `most_surplus` reached
    /// (then the oldest goes), used up, bytes that nobody asked for, the end seen, or the endpoint leaves. REQUIRES:
    /// the answer was read to its end and allows it; no operation is pending.
    void give(std::unique_ptr<UpstreamConnection> connection, const config::Keepalive& keepalive);

    /// Closes all and keeps nothing from now on.
    void close();

    /// How many are idle. Any thread.
    std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
    friend class UpstreamConnection;
    UpstreamConnection* choose(io::Duration idle_at_most) const;
    void expired(io::TimePoint now) override;
    std::unique_ptr<UpstreamConnection> remove(UpstreamConnection& connection);
    void close_all();
    io::TimePoint due() const;

    io::Reactor& reactor_;
    UpstreamConnection* newest_ = nullptr;
    UpstreamConnection* oldest_ = nullptr;
    UpstreamConnection* settled_ = nullptr;  ///< the newest of those that were given before the turn `given_in_`
    std::uint64_t given_in_ = 0;             ///< the reactor's turn of the last `give`
    std::atomic<std::uint32_t> size_{0};
    io::Duration idle_timeout_{};
    std::uint32_t max_idle_ = 0;
    bool surplus_ = false;  ///< the timer looks at the surplus
    bool closed_ = false;
};

}  // namespace edgeproxy::upstream
