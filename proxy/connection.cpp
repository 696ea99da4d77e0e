// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection.hpp"

#include <algorithm>
#include <charconv>

#include "proxy/http1_server.hpp"
#include "proxy/http2_server.hpp"
#include "proxy/proxy_header.hpp"
#include "tls/client_identity.hpp"
#include "tls/error.hpp"

namespace edgeproxy::proxy {
namespace {

/// The configured age and up to a tenth more.
io::TimePoint end_of_youth(Lane& lane, io::Duration age) {
    constexpr std::uint64_t steps = 1024;
    const auto spread = static_cast<io::Duration::rep>(lane.ids.random() % steps);
    return io::deadline_after(lane.reactor.now(), age + age / 10 / static_cast<io::Duration::rep>(steps) * spread);
}

}  // namespace

Connection::Connection(Lane& lane, const ListenerPlan& plan, io::UniqueFd fd, const io::Peer& peer,
                       std::uint16_t local_port, Limits::Seat seat)
    : lane_(lane),
      plan_(&plan),
      peer_(peer),
      old_at_(end_of_youth(lane, listener().timeouts.connection_age)),
      mark_(lane.cells->listener(plan.index)),
      seat_(std::move(seat)),
      watch_(response_rate(plan.listener->limits.response_rate)),
      stream_(std::make_unique<io::Socket>(lane.reactor, std::move(fd))) {
    if (peer.is_ip) this->local_port(local_port);
    next_ = lane_.connections;
    if (next_ != nullptr) next_->prev_ = this;
    lane_.connections = this;
    ++lane_.open;
    socket().write_stall(listener().timeouts.write);
    socket().pace(this);
}

Connection::~Connection() {
    leave_idle();
    if (prev_ != nullptr) prev_->next_ = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
    if (lane_.connections == this) lane_.connections = next_;
    --lane_.open;
    handshake(std::nullopt);
    if (stream_.flooded()) lane_.cells->listener(plan_->index).tls_floods.add();
}

std::string_view Connection::certificate_subject() const {
    return certificate_ ? std::string_view(certificate_->subject) : std::string_view();
}

bool Connection::meet_client() {
    asks_certificate_ = stream_.asks_client();
    if (!asks_certificate_ || !stream_.has_client_certificate()) return true;
    certificate_ = stream_.client_identity();
    return certificate_ != nullptr;
}

void Connection::handshake(std::optional<io::TimePoint> since) {
    if (handshake_since_) --lane_.handshakes;
    handshake_since_ = since;
    if (handshake_since_) ++lane_.handshakes;
}

void Connection::local_port(std::uint16_t port) {
    const auto end = std::to_chars(port_.data(), port_.data() + port_.size(), port);
    port_size_ = static_cast<std::uint8_t>(end.ptr - port_.data());
}

void Connection::stands_for(const io::Peer& peer, std::uint16_t port) {
    peer_ = peer;
    local_port(port);
}

void Connection::drain() {
    if (server_ != nullptr && server_->drain_asked()) return;
    if (idle_ && !patient()) socket().cancel_read();
}

void Connection::adopt(const ListenerPlan* plan, const SnapshotRef& before) {
    if (pinned_) return;
    if (plan != nullptr) {
        plan_ = plan;
    } else {
        pinned_ = before;
        drain();
    }
}

void Connection::let_go() {
    leave_idle();
    if (server_ != nullptr && server_->end_asked()) return;
    socket().cancel_read();
}

void Connection::cut() {
    Server* const server = server_;
    lost(loss::memory);
    socket().close(true);
    if (server != nullptr) server->was_cut();
}

void Connection::list_holdings(std::vector<Holding>& holdings) {
    const std::size_t before = holdings.size();
    if (server_ != nullptr) server_->list_streams(holdings);
    if (holdings.size() > before) {
        for (std::size_t i = before; i < holdings.size(); ++i) holdings[i].connection = this;
        return;
    }
    const std::size_t bytes = held();
    if (bytes > 0) holdings.push_back({bytes, this, nullptr});
}

std::size_t Connection::held() const {
    return stream_.held() + (server_ != nullptr ? server_->held() : 0);
}

void Connection::join_idle() {
    idle_since_ = lane_.reactor.now();
    idle_prev_ = lane_.idle_last;
    (idle_prev_ != nullptr ? idle_prev_->idle_next_ : lane_.idle_first) = this;
    lane_.idle_last = this;
}

void Connection::leave_idle() {
    if (idle_prev_ == nullptr && lane_.idle_first != this) return;
    (idle_prev_ != nullptr ? idle_prev_->idle_next_ : lane_.idle_first) = idle_next_;
    (idle_next_ != nullptr ? idle_next_->idle_prev_ : lane_.idle_last) = idle_prev_;
    idle_next_ = idle_prev_ = nullptr;
}

io::TimePoint Connection::waits(io::TimePoint now, std::int64_t taken) {
    const std::int64_t before = std::exchange(taken_, taken);
    watch_.start(now);
    watch_.moved(now, static_cast<std::uint64_t>(std::max<std::int64_t>(taken - before, 0)));
    return watch_.deadline();
}

namespace {

admin::HandshakeResult handshake_result(const io::error_code& error) {
    using admin::HandshakeResult;
    if (error == io::errc::timed_out) return HandshakeResult::timeout;
    if (error.category() != tls::category()) return HandshakeResult::closed;
    switch (static_cast<tls::errc>(error.value())) {
        case tls::errc::plain_http:
            return HandshakeResult::plain_http;
        case tls::errc::no_alpn:
            return HandshakeResult::no_protocol;
        case tls::errc::unknown_host:
            return HandshakeResult::unknown_host;
        case tls::errc::alert:
        case tls::errc::certificate_refused:
            return HandshakeResult::alert_received;
        case tls::errc::truncated:
            return HandshakeResult::closed;
        case tls::errc::nothing_shared:
            return HandshakeResult::nothing_shared;
        case tls::errc::too_large:
            return HandshakeResult::too_large;
        case tls::errc::no_client_certificate:
            return HandshakeResult::no_client_certificate;
        case tls::errc::client_revoked:
            return HandshakeResult::client_revoked;
        case tls::errc::client_expired:
            return HandshakeResult::client_expired;
        case tls::errc::client_unknown_ca:
            return HandshakeResult::client_unknown_ca;
        case tls::errc::client_invalid:
            return HandshakeResult::client_invalid;
        default:
            return HandshakeResult::protocol_error;
    }
}

/// The TLS handshake with its deadline and its counters. False: the connection is over.
io::Task<bool> shake_hands(Connection& connection) {
    Lane& lane = connection.lane();
    const io::TimePoint begin = lane.reactor.precise_now();
    connection.socket().read_deadline(io::deadline_after(lane.reactor.now(), connection.listener().timeouts.handshake));
    // Nothing is allocated for a client that says nothing, and a drain may let it go.
    connection.idle(true);
    const auto spoke = co_await connection.socket().wait_readable();
    connection.idle(false);
    if (!spoke && spoke.error() == io::errc::cancelled && !connection.socket().has_input()) co_return false;
    const SnapshotRef held = lane.snapshot;  // for as long as the handshake needs its certificates
    const tls::Context* const context = connection.plan().context;
    if (context == nullptr) co_return false;  // the listener is plain since it was reloaded
    connection.handshake(lane.reactor.now());
    const auto done = co_await connection.stream().accept(*context, lane.windows);
    connection.handshake(std::nullopt);
    admin::ListenerCells& cells = lane.cells->listener(connection.plan().index);
    auto result = done ? admin::HandshakeResult::ok : handshake_result(done.error());
    if (done && !connection.meet_client()) result = admin::HandshakeResult::client_invalid;
    cells.count_handshake(connection.stream().tls_version(), connection.stream().tls_resumed(), result,
                          lane.reactor.precise_now() - begin);
    if (result == admin::HandshakeResult::ok) co_return true;
    if (done) co_return false;
    if (done.error() == tls::errc::plain_http) co_await refuse_plain_http(connection);
    co_return false;
}

}  // namespace

io::Task<void> serve_connection(std::unique_ptr<Connection> connection) {
    if (!connection->socket().is_open()) co_return;
    if (connection->listener().proxy_protocol == config::ProxyProtocol::required && connection->is_trusted_peer()) {
        const bool told = co_await take_proxy_header(*connection);
        if (!told) co_return;
    }
    if (connection->plan().context != nullptr) {
        const bool shaken = co_await shake_hands(*connection);
        if (!shaken) co_return;
    }
    const bool h2 = connection->stream().alpn() == "h2";
    connection->mark().protocol(h2 ? admin::ConnectionProtocol::h2 : admin::ConnectionProtocol::http1);
    if (h2) {
        co_await serve_http2(*connection);
    } else {
        co_await serve_http1(*connection);
    }
}

}  // namespace edgeproxy::proxy
