// SPDX-License-Identifier: Apache-2.0
#include "proxy/probe_wire.hpp"

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "tls/io/ip.hpp"

namespace edgeproxy::proxy {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using boost::system::error_code;

asio::generic::stream_protocol::endpoint asio_endpoint(const config::Address& address) {
    const io::SocketAddress to = io::SocketAddress::from_literal(address);
    return {&to.any, to.size};
}

}  // namespace

bool ProbeWire::is_http2() const {
    return tls_ ? tls_->has_h2() : to_.transport.http == upstream::Transport::Http::two;
}

asio::awaitable<ProbeWire::Opened> ProbeWire::open() {
    error_code error;
    co_await socket_.async_connect(asio_endpoint(to_.address), asio::redirect_error(use_awaitable, error));
    if (error) {
        why_ = "connect: " + error.message();
        const bool refused =
            error == asio::error::connection_refused || error == boost::system::errc::no_such_file_or_directory;
        co_return refused ? Opened::refused : Opened::failed;
    }
    if (!to_.transport.tls) co_return Opened::yes;
    const tls::ClientPeer peer{to_.transport.host, upstream::alpn_offer(to_.transport.http), nullptr};
    tls_.emplace(*to_.transport.tls, peer);
    while (!tls_->established()) {
        const bool sent = co_await send(tls_->take_output());
        if (!sent) co_return Opened::failed;
        const std::string bytes = co_await receive();
        if (bytes.empty() && why_.empty()) why_ = "the endpoint closed in the middle of the TLS handshake";
        if (bytes.empty()) co_return Opened::failed;
        if (tls_->feed(bytes)) continue;
        why_ = tls_->why();
        // The alert that tells the endpoint why.
        co_await send(tls_->take_output());
        co_return Opened::failed;
    }
    const bool finished = co_await send(tls_->take_output());
    co_return finished ? Opened::yes : Opened::failed;
}

asio::awaitable<bool> ProbeWire::send(std::string bytes) {
    if (bytes.empty()) co_return true;
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes), asio::redirect_error(use_awaitable, error));
    if (error) why_ = "write: " + error.message();
    co_return !error;
}

asio::awaitable<std::string> ProbeWire::receive() {
    std::array<char, 4096> chunk;
    error_code error;
    const std::size_t got =
        co_await socket_.async_read_some(asio::buffer(chunk), asio::redirect_error(use_awaitable, error));
    at_end_ = error == asio::error::eof;
    if (error == asio::error::operation_aborted) {
        why_ = "no answer in time";
    } else if (error && !at_end_) {
        why_ = "read: " + error.message();
    }
    co_return std::string(chunk.data(), got);
}

asio::awaitable<bool> ProbeWire::write(std::string text) {
    if (!tls_) co_return co_await send(std::move(text));
    tls_->write(text);
    co_return co_await send(tls_->take_output());
}

asio::awaitable<std::string> ProbeWire::read() {
    if (!tls_) co_return co_await receive();
    for (;;) {
        std::string plain = tls_->take_input();
        if (!plain.empty()) co_return plain;
        if (tls_->ended()) {
            at_end_ = true;
            co_return plain;
        }
        const std::string bytes = co_await receive();
        // An end without close_notify may have cut something off.
        if (bytes.empty()) {
            at_end_ = false;
            co_return bytes;
        }
        if (!tls_->feed(bytes)) why_ = tls_->why();
        if (!why_.empty()) co_return std::string();
    }
}

}  // namespace edgeproxy::proxy
