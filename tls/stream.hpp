// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "tls/io/socket.hpp"

namespace edgeproxy::tls {

class ClientContext;
struct ClientIdentity;
class Context;
class Session;
struct ClientPeer;
class Windows;

/// The bytes of one connection, plain or TLS: the one type that everything above reads from and writes to.
///
/// Plain, every call goes straight to the socket. With TLS, OpenSSL is driven through an own BIO: one recv of the
/// reactor's shared input window gives it many records, and what it encrypts gathers in the reactor's shared output
/// batch and leaves in one send. Bytes that the kernel did not take move to a bounded tail of this connection, and
/// nothing more is encrypted until they are gone. Deadlines, cancel, close and idle watching are the socket's. One
/// reactor thread; neither copied nor moved; outlives its pending operations.
class Stream {
 public:
    /// A plain stream over a connected socket.
    explicit Stream(std::unique_ptr<io::Socket> socket);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    io::Socket& socket() const { return *socket_; }
    bool is_tls() const { return session_ != nullptr; }

    /// Becomes the server side of TLS; call once, before any read. Ends with an error of tls/error.hpp (alert, no
    /// shared ALPN, plain HTTP ...), `io::errc::timed_out` at the socket's read deadline (or its write stall), or a
    /// system error. After `errc::plain_http` the stream is plain again, for the 400. The alert that belongs to an
    /// error has been sent. `windows` are the reactor's; `context` must outlive the call only. Holds no TLS memory
    /// until the first byte came; at most `Windows::handshake_steps` steps of all connections run in a turn of the
    /// loop.
    io::Task<io::Result<void>> accept(const Context& context, Windows& windows);

    /// Becomes the client side of TLS; call once, before any read. As `accept`, besides: `errc::spoke_first` if the
    /// peer sent anything before us, certificate_* when its certificate is not believed. `context` and `peer` must
    /// outlive the call only.
    io::Task<io::Result<void>> connect(const ClientContext& context, const ClientPeer& peer, Windows& windows);

    /// The protocol that ALPN chose: "h2", "http/1.1" or empty.
    std::string_view alpn() const;
    /// "TLSv1.3" ..., static storage; empty when plain.
    std::string_view tls_version() const;
    bool tls_resumed() const;
    /// The name that the client asked for (SNI), valid as long as this; empty when none.
    std::string_view server_name() const;

    /// The rules about clients under which the handshake went (ClientPolicy::rules); 0 when plain.
    std::uint64_t tls_rules() const;
    /// The handshake asked for a client certificate.
    bool asks_client() const;
    /// The peer showed a certificate, now or when the session began; it has been verified.
    bool has_client_certificate() const;
    /// Whom it names; null without one, or when it is beyond ClientIdentity's bounds.
    std::unique_ptr<const ClientIdentity> client_identity() const;
    /// Ended by us: too many TLS messages without data.
    bool flooded() const;

    /// Up to `into.size()` decrypted bytes, at least one; `io::errc::eof` at the end (close_notify or FIN).
    io::Read read_some(std::span<char> into);
    /// The same into `buffer`, which need not be there before: see io::Socket::read_some.
    io::Read read_some(io::Buffer& buffer, std::size_t from, std::size_t size = io::BufferPool::small);
    /// All of the pieces in this order, or an error. With TLS they share records.
    io::Write write_all(std::span<const char> first, std::span<const char> second = {},
                        std::span<const char> third = {});
    /// Not a string literal, whose span would send its NUL as well: wrap it in a string_view.
    template <std::size_t size>
    io::Write write_all(const char (&literal)[size], std::span<const char> = {}, std::span<const char> = {}) = delete;
    /// Sends `text`, which is short, if all of it can go at once: never waits. False: nothing of it was sent, since
    /// earlier bytes wait, or writes are over.
    bool write_at_once(std::string_view text);
    /// Until `read_some` would likely give something; holds no buffer.
    io::Read wait_readable();
    /// Bytes (or the end) have been taken from the socket and not been read yet, so `read_some` need not wait for the
    /// network. Always false when plain. The socket itself may be readable besides: who parks a connection looks at
    /// `socket().readable()` as well.
    bool has_buffered() const;
    /// Bytes of memory that TLS holds for this connection: itself, and what waits in either direction.
    std::size_t held() const;
    /// The peer's end came as FIN without close_notify: what it sent may have been cut (RFC 8446, section 6.1).
    bool truncated() const;

    /// Ends our side of the stream: close_notify (TLS), then FIN. Never waits. Reading may go on.
    void shutdown_write();
    /// The same before the socket is closed at once, which sends the FIN.
    void close_notify();

 private:
    bool has_ssl() const;
    io::Task<io::Result<void>> handshake(Windows& windows);
    std::unique_ptr<io::Socket> socket_;
    std::unique_ptr<Session> session_;  ///< null = plain
};

}  // namespace edgeproxy::tls
