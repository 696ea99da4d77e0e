// SPDX-License-Identifier: Apache-2.0
#include "upstream/lease.hpp"

#include <cassert>
#include <utility>

namespace edgeproxy::upstream {
namespace {

/// True when nothing has arrived that nobody asked for, and the end has not either. A read that was filled to the brim
/// leaves "perhaps more" behind, so the kernel is asked then (and only then).
bool is_quiet(tls::Stream& stream) {
    io::Socket& socket = stream.socket();
    if (!socket.is_open() || socket.cancelled() || socket.peer_closed() || stream.has_buffered()) return false;
    if (!socket.readable()) return true;
    char unwanted;
    return socket.receive({&unwanted, 1}).again;
}

}  // namespace

// ---- UpstreamConnection

UpstreamConnection::UpstreamConnection(std::unique_ptr<io::Socket> socket, EndpointCells& cells)
    : stream_(std::move(socket)), cells_(cells) {
    cells_.connects.add();
}

UpstreamConnection::~UpstreamConnection() {
    assert(list_ == nullptr);
    cells_.connections_closed.add();
}

/// Nothing that nobody asked for has come as far as can be known; see IdleConnections.
bool UpstreamConnection::is_clean() const {
    const io::Socket& socket = stream_.socket();
    if (socket.input_ahead()) return false;
    const io::Reactor& reactor = socket.reactor();
    return (idle_turn_ != reactor.turn() && reactor.saw_all()) || socket.is_quiet();
}

void UpstreamConnection::idle_ended(io::Socket&) {
    list_->remove(*this);
}

// ---- IdleConnections

IdleConnections::~IdleConnections() {
    close_all();
}

std::unique_ptr<UpstreamConnection> IdleConnections::take(io::Duration idle_at_most) {
    while (UpstreamConnection* const chosen = choose(idle_at_most)) {
        auto connection = remove(*chosen);
        if (connection->is_clean()) return connection;
    }
    return nullptr;
}

/// The newest that was not given in this very turn, else the newest.
UpstreamConnection* IdleConnections::choose(io::Duration idle_at_most) const {
    const auto fits = [&](const UpstreamConnection* one) {
        return one != nullptr &&
               (idle_at_most == io::Duration::max() || reactor_.now() - one->idle_since_ <= idle_at_most);
    };
    UpstreamConnection* const settled = given_in_ == reactor_.turn() ? settled_ : newest_;
    if (fits(settled)) return settled;
    return fits(newest_) ? newest_ : nullptr;
}

void IdleConnections::give(std::unique_ptr<UpstreamConnection> connection, const config::Keepalive& keepalive) {
    ++connection->served_;
    const bool wanted = !closed_ && keepalive.max_idle > 0 && keepalive.idle_timeout > config::Duration::zero();
    if (!wanted || connection->served_ >= UpstreamConnection::max_requests || !is_quiet(connection->stream())) return;
    max_idle_ = keepalive.max_idle;
    while (size() >= max_idle_ + most_surplus) remove(*oldest_);

    UpstreamConnection* const kept = connection.release();
    kept->idle_since_ = reactor_.now();
    kept->idle_turn_ = reactor_.turn();
    if (std::exchange(given_in_, kept->idle_turn_) != kept->idle_turn_) settled_ = newest_;
    kept->list_ = this;
    kept->older_ = newest_;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = kept;
    newest_ = kept;
    size_.store(size() + 1, std::memory_order_relaxed);
    kept->socket().read_deadline(io::never);
    kept->socket().watch_idle(kept);

    idle_timeout_ = keepalive.idle_timeout;
    // One look at the oldest per idle_timeout, not one timer per request; another pace while there is a surplus.
    const bool surplus = size() > max_idle_;
    if (linked() && (surplus_ || !surplus)) return;
    surplus_ = surplus;
    reactor_.wheel().schedule(*this, due());
}

/// When the oldest has to go if nobody takes it.
io::TimePoint IdleConnections::due() const {
    return oldest_->idle_since_ + (surplus_ ? std::min(surplus_time, idle_timeout_) : idle_timeout_);
}

void IdleConnections::close() {
    closed_ = true;
    close_all();
    reactor_.wheel().cancel(*this);
}

void IdleConnections::close_all() {
    while (newest_ != nullptr) remove(*newest_);
}

std::unique_ptr<UpstreamConnection> IdleConnections::remove(UpstreamConnection& connection) {
    (connection.newer_ != nullptr ? connection.newer_->older_ : newest_) = connection.older_;
    (connection.older_ != nullptr ? connection.older_->newer_ : oldest_) = connection.newer_;
    if (settled_ == &connection) settled_ = connection.older_;
    connection.older_ = connection.newer_ = nullptr;
    connection.list_ = nullptr;
    connection.socket().watch_idle(nullptr);
    size_.store(size() - 1, std::memory_order_relaxed);
    return std::unique_ptr<UpstreamConnection>(&connection);
}

void IdleConnections::expired(io::TimePoint now) {
    while (oldest_ != nullptr && (surplus_ = size() > max_idle_, due() <= now)) remove(*oldest_);
    if (oldest_ != nullptr) reactor_.wheel().schedule(*this, due());
}

}  // namespace edgeproxy::upstream
