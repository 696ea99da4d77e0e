// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "tls/client_context.hpp"
#include "tls/io/socket.hpp"
#include "tls/openssl.hpp"
#include "tls/windows.hpp"

namespace edgeproxy::tls {

class Context;

/// One side of TLS on one socket: what a Stream holds when it is not plain.
///
/// Never blocks and never suspends: `handshake`, `read` and `write` do what can be done now. OpenSSL never sees a full
/// pipe, because its output goes to the batch, so reading and writing do not disturb each other. One reactor thread.
/// Neither copied nor moved (OpenSSL points at it).
class Session {
 public:
    static constexpr std::size_t max_hello = 16 * 1024;      ///< bytes of the client until its ClientHello is whole
    static constexpr std::size_t max_handshake = 32 * 1024;  ///< bytes of the peer until it is done
    static constexpr std::size_t max_with_certificate = 64 * 1024;  ///< the same where it is asked for a certificate
    static constexpr std::size_t small_record = 1400;  ///< fits a TCP segment, so the first bytes can be used at once
    static constexpr std::size_t small_records = 64 * 1024;        ///< bytes in small records after ...
    static constexpr io::Duration idle = std::chrono::seconds(1);  ///< ... so long without a write
    static constexpr std::uint64_t free_glitches =
        16;  ///< messages without data (KeyUpdate, warning alerts ...) that a peer has free
    static constexpr std::uint64_t bytes_per_glitch = 1024 * 1024;  ///< and one more for so much data

    /// The server's side. `socket` and `windows` must outlive it, `context` its handshake.
    Session(io::Socket& socket, Windows& windows, const Context& context);
    /// The client's side; `context` and `peer` must outlive its handshake.
    Session(io::Socket& socket, Windows& windows, const ClientContext& context, const ClientPeer& peer);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Makes an SSL_CTX ask the session (through SSL's app data) for certificates, protocols and ticket keys.
    static void set_callbacks(SSL_CTX* ctx);
    /// The same for the client's side: flood counting, and new sessions to resume.
    static void set_client_callbacks(SSL_CTX* ctx);

    enum class Step {
        done,    ///< application data may flow
        unread,  ///< nothing had come
        wait,    ///< more bytes of the peer are needed
        failed,  ///< `error` tells
    };
    Step handshake(io::error_code& error);
    /// Every read and write from now on ends with `error`.
    void fail(const io::error_code& error) { read_end_ = write_end_ = error; }

    /// Attempts of a Stream's operations (see io::Operation): true when finished.
    bool read(io::ReadOperation& op) noexcept;
    bool write(io::WriteOperation& op) noexcept;
    /// Bytes or the end have been taken from the socket and not been read.
    bool has_input() const;
    /// Bytes of memory: OpenSSL's own, about, and the buffers.
    std::size_t held() const {
        constexpr std::size_t ssl = 16 * 1024;
        return (ssl_ ? ssl : 0) + rest_.size() + small_tail_.size() + (big_tail_ ? Windows::batch_size : 0);
    }
    /// Encrypted bytes wait for the kernel.
    bool has_tail() const { return tail_begin_ < tail_end_; }
    /// Of a Stream: `text` fits one record.
    bool write_at_once(std::string_view text);
    /// Writes close_notify unless a tail is in its way. Never waits.
    void close_notify();
    bool truncated() const;
    /// Null before the first byte came.
    SSL* ssl() const { return ssl_.get(); }
    /// The rules about clients under which the handshake went (ClientPolicy::rules); 0 before the ClientHello.
    std::uint64_t rules() const { return rules_; }
    /// Ended by us, because of too many messages without data.
    bool flooded() const;

    // For the BIO.
    std::size_t pull(char* out, std::size_t size);
    bool push(const char* data, std::size_t size) { return windows_.append(data, size); }
    bool input_ended() const { return static_cast<bool>(refusal_) || static_cast<bool>(receive_error_); }

 private:
    struct Callbacks;
    bool begin(io::error_code& error);
    bool client_is_valid_still() const;
    bool begin_as_server(io::error_code& error);
    bool begin_as_client(io::error_code& error);
    bool attach();
    bool refill();
    void keep_rest();
    bool send_output(io::error_code& error);
    bool flush_tail(io::error_code& error);
    io::error_code keep_tail(std::span<const char> left);
    bool keep_behind_tail(std::span<const char> left);
    void drop_tail();
    std::span<const char> next_record(const io::WriteOperation& op);
    void encrypt(io::WriteOperation& op);
    std::size_t decrypt(io::ReadOperation& op);
    void glitch();
    io::error_code failure(int result);

    io::Socket& socket_;
    Windows& windows_;
    const Context* context_ = nullptr;        ///< null after the handshake, and for a client
    const ClientContext* client_ = nullptr;   ///< null after the handshake, and for a server
    const ClientPeer* peer_ = nullptr;        ///< as `client_`
    std::shared_ptr<Resumption> resumption_;  ///< of a client; may be null
    std::uint64_t rules_ = 0;
    std::size_t most_received_ = max_hello;  ///< raw bytes, of the part of the handshake that goes on
    UniqueSsl ssl_;                          ///< of a server null until the first byte came

    std::string_view input_;  ///< received, not yet read by OpenSSL; lies in the window or, between calls, in `rest_`
    io::Buffer rest_;
    std::size_t receive_size_ = 0;  ///< how much of the window to use
    bool may_receive_ = true;
    bool established_ = false;
    io::error_code receive_error_{};  ///< how the socket's bytes ended
    io::error_code refusal_{};        ///< our own reason not to go on, which OpenSSL does not know
    io::error_code read_end_{};       ///< what every further read gives
    io::error_code write_end_{};      ///< what every further write gives

    io::Buffer small_tail_;  ///< the tail lies in one of these two
    Windows::Batch big_tail_;
    std::size_t tail_begin_ = 0, tail_end_ = 0;

    std::uint64_t received_ = 0;  ///< handshake: raw bytes; then decrypted ones
    std::uint64_t glitches_ = 0;
    std::size_t in_small_records_ = 0;
    io::TimePoint last_write_{};
};

}  // namespace edgeproxy::tls
