// SPDX-License-Identifier: Apache-2.0
#include "tls/stream.hpp"

#include "tls/client_identity.hpp"
#include "tls/error.hpp"
#include "tls/session.hpp"

namespace edgeproxy::tls {
namespace {

bool try_read(io::Operation& op) noexcept {
    return static_cast<Session*>(op.owner)->read(static_cast<io::ReadOperation&>(op));
}

bool try_read_buffer(io::Operation& operation) noexcept {
    auto& op = static_cast<io::ReadOperation&>(operation);
    Session& session = *static_cast<Session*>(op.owner);
    if (!session.has_input() && !op.socket->readable()) return session.read(op);  // sends what it owes
    return op.read_with_buffer(try_read);
}

bool try_write(io::Operation& op) noexcept {
    return static_cast<Session*>(op.owner)->write(static_cast<io::WriteOperation&>(op));
}

bool try_readable(io::Operation& op) noexcept {
    return static_cast<Session*>(op.owner)->has_input() || op.socket->readable();
}

}  // namespace

Stream::Stream(std::unique_ptr<io::Socket> socket) : socket_(std::move(socket)) {}

Stream::~Stream() = default;

io::Task<io::Result<void>> Stream::accept(const Context& context, Windows& windows) {
    session_ = std::make_unique<Session>(*socket_, windows, context);
    return handshake(windows);
}

io::Task<io::Result<void>> Stream::connect(const ClientContext& context, const ClientPeer& peer, Windows& windows) {
    session_ = std::make_unique<Session>(*socket_, windows, context, peer);
    return handshake(windows);
}

io::Task<io::Result<void>> Stream::handshake(Windows& windows) {
    io::error_code error;
    for (;;) {
        for (bool waited = false; !windows.take_step(waited); waited = true) co_await socket_->reactor().yield();
        if (socket_->cancelled()) error = io::errc::cancelled;
        if (error) break;
        const Session::Step step = session_->handshake(error);
        if (step == Session::Step::done) co_return io::Result<void>();
        if (step == Session::Step::unread) windows.give_back_step();
        if (step == Session::Step::failed) break;
        const auto flushed = co_await write_all({});
        if (flushed.has_error()) error = flushed.error();
        if (error) break;
        const auto readable = co_await socket_->wait_readable();
        if (readable.has_error()) error = readable.error();
        if (error) break;
    }
    if (error == errc::plain_http) {
        session_.reset();
    } else {
        session_->fail(error);
    }
    co_return error;
}

bool Stream::has_ssl() const {
    return session_ && session_->ssl() != nullptr;
}

std::string_view Stream::alpn() const {
    if (!has_ssl()) return {};
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(session_->ssl(), &name, &size);
    return {reinterpret_cast<const char*>(name), std::size_t{size}};
}

std::string_view Stream::tls_version() const {
    return has_ssl() ? SSL_get_version(session_->ssl()) : std::string_view();
}

bool Stream::tls_resumed() const {
    return has_ssl() && SSL_session_reused(session_->ssl()) == 1;
}

std::string_view Stream::server_name() const {
    const char* name = has_ssl() ? SSL_get_servername(session_->ssl(), TLSEXT_NAMETYPE_host_name) : nullptr;
    return name != nullptr ? name : std::string_view();
}

std::uint64_t Stream::tls_rules() const {
    return session_ ? session_->rules() : 0;
}

bool Stream::asks_client() const {
    return has_ssl() && (SSL_get_verify_mode(session_->ssl()) & SSL_VERIFY_PEER) != 0;
}

bool Stream::has_client_certificate() const {
    return has_ssl() && SSL_get0_peer_certificate(session_->ssl()) != nullptr;
}

std::unique_ptr<const ClientIdentity> Stream::client_identity() const {
    return has_ssl() ? tls::client_identity(session_->ssl()) : nullptr;
}

bool Stream::flooded() const {
    return session_ && session_->flooded();
}

io::Read Stream::read_some(std::span<char> into) {
    io::Read read = socket_->read_some(into);
    if (session_) {
        read.operation.attempt = try_read;
        read.operation.owner = session_.get();
    }
    return read;
}

io::Read Stream::read_some(io::Buffer& buffer, std::size_t from, std::size_t size) {
    io::Read read = socket_->read_some(buffer, from, size);
    if (session_) {
        read.operation.attempt = try_read_buffer;
        read.operation.owner = session_.get();
    }
    return read;
}

io::Write Stream::write_all(std::span<const char> first, std::span<const char> second, std::span<const char> third) {
    io::Write write = socket_->write_all(first, second, third);
    if (session_) {
        write.operation.attempt = try_write;
        write.operation.owner = session_.get();
    }
    return write;
}

io::Read Stream::wait_readable() {
    io::Read read = socket_->wait_readable();
    if (session_) {
        read.operation.attempt = try_readable;
        read.operation.owner = session_.get();
    }
    return read;
}

bool Stream::has_buffered() const {
    return session_ && session_->has_input();
}

std::size_t Stream::held() const {
    return session_ ? session_->held() : 0;
}

bool Stream::truncated() const {
    return session_ && session_->truncated();
}

bool Stream::write_at_once(std::string_view text) {
    if (socket_->writing() || socket_->cancelled() || socket_->unsent() > 0) return false;
    if (session_) return session_->write_at_once(text);
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    return socket_->send(&piece, 1).bytes == text.size();
}

void Stream::shutdown_write() {
    close_notify();
    socket_->shutdown_write();
}

void Stream::close_notify() {
    if (session_) session_->close_notify();
}

}  // namespace edgeproxy::tls
