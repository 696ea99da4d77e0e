// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

#include "proxy/connection.hpp"

namespace edgeproxy::proxy {
namespace {

constexpr std::string_view too_many =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

io::UniqueFd spare_descriptor() {
    return io::UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

/// The peer gets a reset.
void reset(io::UniqueFd& fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd.reset();
}

}  // namespace

Listener::Listener(Lane& lane, const ListenerPlan& plan, const Door& door)
    : lane_(lane), plan_(&plan), id_(door.id), socket_(door.socket), port_(door.port), spare_(spare_descriptor()) {
    registered_ = !lane_.reactor.add_listener(*this, socket_->get());
    if (!registered_) rest();
}

Listener::~Listener() {
    if (registered_) lane_.reactor.remove(*this, socket_->get());
}

void Listener::ready(Events) {
    for (unsigned i = 0; i < batch; ++i) {
        const Accepted outcome = may_accept() ? accept_one() : Accepted::exhausted;
        if (outcome == Accepted::exhausted) rest();
        if (outcome != Accepted::one) return;
    }
}

/// Whether somebody waits in the backlog.
bool Listener::somebody_waits() const {
    pollfd asked{.fd = socket_->get(), .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, 0) > 0;
}

/// Room for one more: among all connections, in memory, and in the line of handshakes.
bool Listener::may_accept() {
    if (lane_.pressure >= Pressure::refusing) return false;
    if (plan_->context != nullptr && lane_.handshakes >= Lane::max_handshakes) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::handshake_limit);
        lane_.hurry_handshakes();
        return false;
    }
    const std::size_t open = lane_.limits->open(), most = lane_.limits->most();
    if (open < most || !somebody_waits()) return true;
    if (open < most + Limits::overlap && lane_.evict(admin::Limit::max_connections)) return true;
    lane_.cells->hit(admin::Limit::max_connections);
    lane_.limits->want_room();
    return false;
}

Listener::Accepted Listener::accept_one() {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    io::UniqueFd fd{::accept4(socket_->get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!fd) {
        const bool no_descriptor = errno == EMFILE || errno == ENFILE;
        if (no_descriptor || errno == ENOBUFS || errno == ENOMEM) return out_of_descriptors(no_descriptor);
        // A client that left the backlog again is no reason to stop.
        return errno == ECONNABORTED || errno == EINTR ? Accepted::one : Accepted::none;
    }
    // Descriptors are given out lowest first: from here on the reserve would be used up.
    if (fd.get() >= lane_.limits->client_ceiling()) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::descriptor_limit);
        reset(fd);
        return out_of_descriptors(false);
    }
    const io::Peer peer = io::Peer::from(from);
    Limits::Seat seat{*lane_.limits};
    if (!admit(fd, peer, seat)) return Accepted::one;
    lane_.cells->listener(plan_->index).accepted.add();
    if (plan_->context != nullptr && !may_shake_hands(peer)) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::handshake_rate);
        return Accepted::one;
    }
    lane_.reactor.spawn(
        serve_connection(std::make_unique<Connection>(lane_, *plan_, std::move(fd), peer, port_, std::move(seat))));
    return Accepted::one;
}

/// Idle connections give back their descriptors; then we rest. `turn_one_away`: a newcomer could not be accepted, which
/// is done by means of the spare descriptor, so that the backlog moves.
Listener::Accepted Listener::out_of_descriptors(bool turn_one_away) {
    lane_.cells->hit(admin::Limit::descriptors);
    lane_.limits->tell_descriptors_gone();
    if (spare_ && turn_one_away) {
        spare_.reset();
        io::UniqueFd fd{::accept4(socket_->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (fd) {
            lane_.cells->listener(plan_->index).refuse(admin::Refusal::descriptor_limit);
            reset(fd);
        }
    }
    if (!spare_) spare_ = spare_descriptor();
    for (unsigned i = 0; i < batch && lane_.evict(admin::Limit::descriptors); ++i) {
    }
    return Accepted::exhausted;
}

/// Whether this source may have another connection; if not, it is answered and closed. A trusted proxy is not counted:
/// behind it are many.
bool Listener::admit(io::UniqueFd& fd, const io::Peer& peer, Limits::Seat& seat) {
    if (!peer.is_ip || is_within(peer.ip, lane_.snapshot->config->client_ip.trusted_proxies)) return true;
    const SourceKey source = source_of(peer.ip);
    if (!seat.belongs_to(source)) {
        lane_.cells->hit(admin::Limit::connections_per_source);
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::source_limit);
        turn_away(std::move(fd));
        return false;
    }
    return true;
}

bool Listener::may_shake_hands(const io::Peer& peer) {
    const config::ListenerLimits& limits = plan_->listener->limits;
    const HandshakeRate::Limit limit{limits.handshakes, limits.handshake_window};
    if (limit.burst == 0 || is_trusted(lane_.snapshot->config->client_ip, peer)) return true;
    return lane_.handshake_rate->take(peer, plan_->index, limit, lane_.reactor.now());
}

/// 429 in the clear, a reset where TLS is spoken.
void Listener::turn_away(io::UniqueFd fd) {
    if (plan_->context != nullptr) return reset(fd);
    // What has come is taken in, lest the close destroy the answer.
    char ignored[4096];
    [[maybe_unused]] const auto put = ::send(fd.get(), too_many.data(), too_many.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(fd.get(), SHUT_WR);
    [[maybe_unused]] const auto got = ::recv(fd.get(), ignored, sizeof ignored, MSG_DONTWAIT);
}

void Listener::rest() {
    if (registered_) lane_.reactor.remove(*this, socket_->get());
    registered_ = false;
    lane_.reactor.wheel().schedule(*this, lane_.reactor.now() + pause);
}

void Listener::expired(io::TimePoint) {
    if (closed_) return;
    registered_ = !lane_.reactor.add_listener(*this, socket_->get());
    if (!registered_) rest();
}

void Listener::close() {
    if (closed_) return;
    closed_ = true;
    // Those who are in the backlog have been promised a connection; who comes meanwhile has not.
    for (unsigned left = plan_->listener->backlog; left > 0 && accept_one() == Accepted::one; --left) {
    }
    if (registered_) lane_.reactor.remove(*this, socket_->get());
    registered_ = false;
    socket_.reset();
}

}  // namespace edgeproxy::proxy
