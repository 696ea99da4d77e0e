// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_header.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "proxy/http/proxy_protocol.hpp"
#include "proxy/http1_server.hpp"

namespace edgeproxy::proxy {
namespace {

using Status = http::ProxyHeaderResult::Status;

io::Peer peer_of(const http::ProxyHeader::Place& place) {
    io::Peer peer;
    peer.ip = place.ip;
    peer.port = place.port;
    peer.is_ip = true;
    return peer;
}

/// What is read of the header so far.
struct Header {
    std::array<char, http::max_proxy_v2> bytes;
    std::size_t size = 0;
    http::ProxyHeader value;

    std::string_view text(std::size_t more) const { return {bytes.data(), size + more}; }
    std::span<char> room() { return std::span(bytes).subspan(size); }
};

/// Reads until it is complete or cannot become so. `incomplete`: the connection ended, or its time is over (`late`).
io::Task<Status> read_header(Connection& connection, Header& header, bool& late) {
    for (;;) {
        const auto readable = co_await connection.socket().wait_readable();
        late = !readable && readable.error() == io::errc::timed_out;
        if (!readable) co_return Status::incomplete;
        // A look first: what follows the header belongs to TLS or to HTTP and stays where it is.
        const std::span<char> room = header.room();
        const ssize_t seen = ::recv(connection.socket().fd(), room.data(), room.size(), MSG_PEEK | MSG_DONTWAIT);
        const std::size_t more = seen > 0 ? static_cast<std::size_t>(seen) : 0;
        const auto result = http::read_proxy_header(header.text(more), header.value);
        if (result.status == Status::malformed) co_return result.status;
        if (result.status == Status::complete && result.size == header.size) co_return result.status;
        std::size_t wanted = std::max<std::size_t>(more, 1);
        if (result.status == Status::complete) wanted = result.size - header.size;
        const auto got = co_await connection.socket().read_some(room.first(wanted));
        late = !got && got.error() == io::errc::timed_out;
        if (!got) co_return Status::incomplete;
        header.size += *got;
        if (result.status == Status::complete && header.size == result.size) co_return result.status;
    }
}

/// The connection counts for the source that the header names. False: that one has too many.
bool count_source(Connection& connection) {
    Lane& lane = connection.lane();
    if (lane.limits == nullptr || connection.is_trusted_peer()) return true;
    const SourceKey source = source_of(connection.peer().ip);
    admin::ListenerCells& cells = lane.cells->listener(connection.plan().index);
    if (!connection.seat().belongs_to(source)) {
        lane.cells->hit(admin::Limit::connections_per_source);
        cells.refuse(admin::Refusal::source_limit);
        return false;
    }
    const config::ListenerLimits& limits = connection.listener().limits;
    const HandshakeRate::Limit limit{limits.handshakes, limits.handshake_window};
    if (connection.plan().context == nullptr || limit.burst == 0 ||
        lane.handshake_rate->take(connection.peer(), connection.plan().index, limit, connection.now()))
        return true;
    cells.refuse(admin::Refusal::handshake_rate);
    return false;
}

}  // namespace

io::Task<bool> take_proxy_header(Connection& connection) {
    Lane& lane = connection.lane();
    admin::ListenerCells& cells = lane.cells->listener(connection.plan().index);
    connection.socket().read_deadline(
        io::deadline_after(connection.now(), connection.listener().timeouts.proxy_protocol));
    const auto header = std::make_unique<Header>();
    bool late = false;
    connection.idle(true);
    const Status status = co_await read_header(connection, *header, late);
    connection.idle(false);
    connection.socket().read_deadline(io::never);
    if (status == Status::complete) {
        const http::ProxyHeader& value = header->value;
        if (!value.known) co_return true;
        connection.stands_for(peer_of(value.source), value.destination.port);
        if (count_source(connection)) co_return true;
        connection.socket().close(true);
        co_return false;
    }
    if (late) {
        lane.cells->hit(admin::Limit::proxy_protocol);
        cells.refuse(admin::Refusal::late_proxy_header);
    } else if (status == Status::malformed) {
        cells.refuse(admin::Refusal::bad_proxy_header);
        if (connection.plan().context == nullptr) co_await refuse_proxy_header(connection);
    }
    co_return false;
}

}  // namespace edgeproxy::proxy
