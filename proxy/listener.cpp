// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "proxy/connection.hpp"

namespace edgeproxy::proxy {

Listener::Listener(Lane& lane, const ListenerPlan& plan, std::shared_ptr<const io::UniqueFd> socket, std::uint16_t port,
                   std::size_t most)
    : lane_(lane), plan_(&plan), socket_(std::move(socket)), port_(port), most_(most) {
    registered_ = !lane_.reactor.add_listener(*this, socket_->get());
    if (!registered_) rest();
}

Listener::~Listener() {
    if (registered_) lane_.reactor.remove(*this, socket_->get());
}

void Listener::ready(Events) {
    for (unsigned i = 0; i < batch; ++i) {
        const Accepted outcome = accept_one();
        if (outcome == Accepted::exhausted) rest();
        if (outcome != Accepted::one) return;
    }
}

Listener::Accepted Listener::accept_one() {
    if (lane_.open >= most_) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::connection_limit);
        return Accepted::exhausted;
    }
    if (plan_->context != nullptr && lane_.handshakes >= Lane::max_handshakes) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::handshake_limit);
        lane_.hurry_handshakes();
        return Accepted::exhausted;
    }
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    io::UniqueFd fd{::accept4(socket_->get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!fd) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            lane_.cells->listener(plan_->index).refuse(admin::Refusal::descriptor_limit);
            return Accepted::exhausted;
        }
        // A client that left the backlog again is no reason to stop.
        return errno == ECONNABORTED || errno == EINTR ? Accepted::one : Accepted::none;
    }
    const io::Peer peer = io::Peer::from(from);
    if (peer.is_ip) {
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    lane_.cells->listener(plan_->index).accepted.add();
    if (plan_->context != nullptr && !may_shake_hands(peer)) {
        lane_.cells->listener(plan_->index).refuse(admin::Refusal::handshake_rate);
        return Accepted::one;
    }
    lane_.reactor.spawn(serve_connection(std::make_unique<Connection>(lane_, *plan_, std::move(fd), peer, port_)));
    return Accepted::one;
}

bool Listener::may_shake_hands(const io::Peer& peer) {
    const config::ListenerLimits& limits = plan_->listener->limits;
    const HandshakeRate::Limit limit{limits.handshakes, limits.handshake_window};
    if (limit.burst == 0 || is_trusted(lane_.snapshot->config->client_ip, peer)) return true;
    return lane_.handshake_rate->take(peer, plan_->index, limit, lane_.reactor.now());
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
    while (accept_one() == Accepted::one) {
    }
    if (registered_) lane_.reactor.remove(*this, socket_->get());
    registered_ = false;
    socket_.reset();
}

}  // namespace edgeproxy::proxy
