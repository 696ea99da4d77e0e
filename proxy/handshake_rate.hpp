// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tls/io/clock.hpp"
#include "tls/io/ip.hpp"

namespace edgeproxy::proxy {

/// How many TLS handshakes each source may begin: `burst` at once, and one more for each `window / burst`.
///
/// A source is an IPv4 address or an IPv6 /64, apart for each listener. The table is bounded (1 MiB): a source that has
/// its whole burst again needs no entry, and when a set of `ways` entries is full of others, the one that is nearest to
/// that is forgotten. Any thread; one short lock of 16, once for an accepted connection. The hash has a secret, so that
/// nobody can choose whose entry his displaces.
class HandshakeRate {
 public:
    struct Limit {
        unsigned burst = 0;  ///< 0 = no limit
        io::Duration window{};
    };

    /// `secret`: any number that clients do not know.
    explicit HandshakeRate(std::uint64_t secret);

    /// False: this source is over its limit, and nothing was taken.
    bool take(const io::Peer& peer, std::size_t listener, const Limit& limit, io::TimePoint now);

 private:
    static constexpr std::size_t ways = 4, sets = 1 << 14, shards = 16;
    struct Entry {
        std::uint64_t source = 0;   ///< 0 = free
        std::int64_t whole_at = 0;  ///< when it has its whole burst again, nanoseconds of the clock
    };
    std::uint64_t hash(const io::Peer& peer, std::size_t listener) const;

    const std::uint64_t secret_;
    std::vector<std::array<Entry, ways>> sets_;
    std::array<std::mutex, shards> locks_;
};

}  // namespace edgeproxy::proxy
