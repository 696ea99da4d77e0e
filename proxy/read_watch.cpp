// SPDX-License-Identifier: Apache-2.0
#include "proxy/read_watch.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "tls/io/ip.hpp"
#include "upstream/hang.hpp"

namespace edgeproxy::proxy {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using Socket = asio::generic::stream_protocol::socket;
using SteadyTime = std::chrono::steady_clock::time_point;

/// Half a method: a server waits for the rest and forgets it when the connection ends.
constexpr const char* touch_text = "GE";

asio::generic::stream_protocol::endpoint asio_endpoint(const config::Address& address) {
    const io::SocketAddress to = io::SocketAddress::from_literal(address);
    return {&to.any, to.size};
}

bool goes_on_meanwhile(const config::Command& command) {
    return command.kind != config::Kind::generic && !command.sync_worker;
}

}  // namespace

struct ReadWatch::State : std::enable_shared_from_this<State> {
    explicit State(asio::io_context& io) : context(io) {}

    /// One worker.
    struct Watched {
        std::shared_ptr<asio::steady_timer> awaited;  ///< while it is suspect
        SteadyTime next_touch{};
        bool touching = false;
    };

    asio::io_context& context;
    std::map<control::Incarnation, Watched> watched;
    bool stopped = false;

    asio::awaitable<bool> send(Socket& socket, config::Address address, std::string text);
    asio::awaitable<void> await_reading(control::Incarnation incarnation, config::Address address, std::string text,
                                        std::function<void()> read);
    asio::awaitable<void> touch(upstream::Roster* roster, upstream::EndpointIdentity worker, config::Duration patience);
};

/// Connects anew and sends. False: the backlog is full, or nobody is there.
asio::awaitable<bool> ReadWatch::State::send(Socket& socket, config::Address address, std::string text) {
    boost::system::error_code error;
    socket = Socket(context);
    co_await socket.async_connect(asio_endpoint(address), asio::redirect_error(use_awaitable, error));
    if (error) co_return false;
    co_await asio::async_write(socket, asio::buffer(text), asio::redirect_error(use_awaitable, error));
    co_return !error;
}

asio::awaitable<void> ReadWatch::State::await_reading(control::Incarnation incarnation, config::Address address,
                                                      std::string text, std::function<void()> read) {
    const auto self = shared_from_this();
    const auto timer = watched[incarnation].awaited;
    Socket socket(context);
    bool sent = false;
    for (;;) {
        if (!sent) {
            sent = co_await send(socket, address, text);
        } else if (upstream::unread_bytes(socket.native_handle()) == 0) {
            watched[incarnation].awaited.reset();
            read();
            co_return;
        }
        boost::system::error_code error;
        timer->expires_after(look_interval);
        co_await timer->async_wait(asio::redirect_error(use_awaitable, error));
        const auto found = watched.find(incarnation);
        if (stopped || found == watched.end() || found->second.awaited != timer) co_return;
    }
}

asio::awaitable<void> ReadWatch::State::touch(upstream::Roster* roster, upstream::EndpointIdentity worker,
                                              config::Duration patience) {
    const auto self = shared_from_this();
    asio::steady_timer timer(context);
    Socket socket(context);
    const SteadyTime deadline = std::chrono::steady_clock::now() + patience;
    bool sent = co_await send(socket, worker.address, touch_text);
    while (sent && !stopped && watched.contains(worker.incarnation)) {
        if (upstream::unread_bytes(socket.native_handle()) == 0) break;
        if (std::chrono::steady_clock::now() >= deadline) {
            roster->untouched(worker.incarnation);
            break;
        }
        boost::system::error_code error;
        timer.expires_after(look_interval);
        co_await timer.async_wait(asio::redirect_error(use_awaitable, error));
    }
    const auto found = watched.find(worker.incarnation);
    if (found != watched.end()) found->second.touching = false;
}

ReadWatch::ReadWatch(asio::io_context& context) : state_(std::make_shared<State>(context)) {}

ReadWatch::~ReadWatch() {
    stop();
}

void ReadWatch::await(const upstream::EndpointIdentity& worker, const std::string& path, std::function<void()> read) {
    State::Watched& watched = state_->watched[worker.incarnation];
    if (watched.awaited) return;
    watched.awaited = std::make_shared<asio::steady_timer>(state_->context);
    const std::string text = "GET " + (path.empty() ? "/" : path) +
                             " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: edgeproxy-probe\r\nConnection: close\r\n\r\n";
    asio::co_spawn(state_->context, state_->await_reading(worker.incarnation, worker.address, text, std::move(read)),
                   asio::detached);
}

void ReadWatch::touch(upstream::Roster& roster) {
    const config::Pool& pool = roster.config();
    if (!pool.managed || !goes_on_meanwhile(pool.command) || pool.hang.suspect_after.count() == 0) return;
    const SteadyTime now = std::chrono::steady_clock::now();
    for (const upstream::EndpointStatus& status : roster.status()) {
        const upstream::EndpointIdentity& who = status.identity;
        const bool idle = status.state == upstream::EndpointState::ready && status.in_flight == 0;
        if (!idle || who.incarnation == 0 || !who.address.is_unix()) continue;
        State::Watched& watched = state_->watched[who.incarnation];
        if (watched.touching || now < watched.next_touch) continue;
        watched.touching = true;
        watched.next_touch = now + pool.health.interval;
        asio::co_spawn(state_->context, state_->touch(&roster, who, pool.hang.suspect_after), asio::detached);
    }
}

void ReadWatch::forget(control::Incarnation incarnation) {
    const auto gone = state_->watched.extract(incarnation);
    if (gone && gone.mapped().awaited) gone.mapped().awaited->cancel();
}

void ReadWatch::stop() {
    state_->stopped = true;
    while (!state_->watched.empty()) forget(state_->watched.begin()->first);
}

}  // namespace edgeproxy::proxy
