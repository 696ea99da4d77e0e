// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <deque>
#include <optional>
#include <string_view>
#include <utility>

#include "upstream/control/message.hpp"

namespace edgeproxy::control {

/// The proxy process is this program with this as its first argument ...
inline constexpr std::string_view proxy_role = "--role=proxy";
/// ... and its end of the pair at this descriptor.
inline constexpr int proxy_channel = 3;

/// One end of the SOCK_SEQPACKET pair between master and proxy. Knows no loop: the owner waits on `fd()` with what it
/// likes.
///
/// Never blocks. What the kernel does not take at once waits in a bounded queue, in order; after each send and when the
/// descriptor is writable call `flush`. A failed channel stays failed. One thread at a time.
class Channel {
 public:
    static constexpr std::size_t max_queue = 4096;                   ///< messages
    static constexpr std::size_t max_queue_bytes = 4 * 1024 * 1024;  ///< bytes of them

    Channel() = default;
    /// `socket` becomes non-blocking and close-on-exec.
    explicit Channel(io::UniqueFd socket);

    int fd() const { return socket_.get(); }
    bool is_open() const { return static_cast<bool>(socket_); }
    /// True while messages wait for the descriptor to become writable.
    bool wants_write() const { return !queue_.empty(); }

    /// Queues and tries to send. errc::overflow when the other end does not read; errc::closed when it is gone.
    Result<void> send(Message message);

    /// Sends what waits as far as the kernel takes it.
    Result<void> flush();

    /// The next message, or nothing when none is there now. errc::closed at the end of file; errc::malformed on
    /// nonsense, after which the channel must be given up.
    Result<std::optional<Message>> receive();

    void close();

 private:
    Result<void> send_now(const Encoded& encoded);

    io::UniqueFd socket_;
    std::deque<Encoded> queue_;
    std::size_t queued_bytes_ = 0;
    std::string received_;  ///< room for any message, from the first one on
};

/// A fresh pair, both close-on-exec: the master's end and the end to hand down.
Result<std::pair<Channel, io::UniqueFd>> make_pair();

/// A sealed memfd with these bytes, for ConfigMessage and KeyMaterial. `name` shows in /proc only.
Result<io::UniqueFd> make_sealed(const char* name, std::span<const char> bytes);

/// The whole content of such a memfd. errc::malformed when it is not fully sealed, errc::too_large beyond `limit`
/// bytes.
Result<std::string> read_sealed(const io::UniqueFd& fd, std::size_t limit);

}  // namespace edgeproxy::control
