// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "tls/io/clock.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// The keys that session tickets are encrypted with (RFC 5077, section 4; RFC 8446, section 4.6.1): AES-256-CBC and
/// HMAC-SHA256.
///
/// A key encrypts for `rotation`, then only decrypts, and is forgotten `lifetime` after it was made. Lives outside of
/// the configuration's snapshots, so that sessions survive a reload. All reactors read it without a lock (a sequence
/// number tells a reader to look again if a rotation fell in between); `advance` and the rest are for the control
/// thread. Must outlive every Identities that uses it and their handshakes.
class TicketKeys {
 public:
    static constexpr io::Duration rotation = std::chrono::hours(12);
    static constexpr io::Duration lifetime = std::chrono::hours(24);
    static constexpr std::size_t name_size = 16;

    struct Key {
        std::array<std::uint8_t, name_size> name;
        std::array<std::uint8_t, 32> cipher;
        std::array<std::uint8_t, 32> mac;
    };

    /// Begins with one random key. Throws std::runtime_error without randomness.
    explicit TicketKeys(io::TimePoint now);
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

    /// Rotates and forgets what is due; cheap otherwise. Returns true when the keys changed (time to export). Call it
    /// every minute or so.
    bool advance(io::TimePoint now);

    /// All keys as bytes, for whoever keeps them while the proxy restarts (same boot: the clock is monotonic). Secret.
    std::string export_keys() const;
    /// Puts exported keys in place of the own ones. False, and nothing changed, when the bytes are not whole, are from
    /// the future (another boot) or have no living key.
    bool import_keys(std::string_view bytes, io::TimePoint now);

    /// The key that encrypts now.
    Key current() const;
    /// The key of that name, or false. `is_current` tells whether the ticket should be renewed.
    bool find(std::span<const std::uint8_t, name_size> name, Key& key, bool& is_current) const;

    const EVP_CIPHER* cipher() const { return cipher_.get(); }

 private:
    static constexpr std::size_t slots = 3;  ///< lifetime / rotation + 1
    static constexpr std::size_t words = sizeof(Key) / 8;
    struct Slot {
        std::array<std::atomic<std::uint64_t>, words> key{};
        std::atomic<std::int64_t> created{0};  ///< nanoseconds of the monotonic clock; 0 = empty
    };
    struct Entry;
    using Ring = std::array<Entry, slots>;
    bool read(const Slot& slot, Key& key) const;
    Ring read_all() const;
    void publish(const Ring& ring);

    UniqueCipher cipher_;
    mutable std::mutex writing_;              ///< of writers only
    std::atomic<std::uint32_t> sequence_{0};  ///< odd while a writer is at it
    std::array<Slot, slots> slots_;           ///< newest first
};

}  // namespace edgeproxy::tls
