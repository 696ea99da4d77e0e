// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>

#include "config/address.hpp"

namespace edgeproxy::proxy {

/// Who a connection counts for: an IPv4 address, or the /64 of an IPv6 address, which is what one host commonly has.
struct SourceKey {
    std::uint64_t high = 0, low = 0;
    bool operator==(const SourceKey&) const = default;
};

/// `ip` in 16 bytes, IPv4 in its mapped form.
SourceKey source_of(const std::array<std::uint8_t, 16>& ip);

/// Whether one of the ranges holds this address.
bool is_within(const std::array<std::uint8_t, 16>& ip, std::span<const config::Cidr> ranges);

/// 64 well mixed bits of a source that nobody can foresee who does not know the secret; `odd` is odd.
inline std::uint64_t hash_of(const SourceKey& key, std::uint64_t odd, std::uint64_t secret) {
    __extension__ using Wide = unsigned __int128;
    const auto fold = [](std::uint64_t a, std::uint64_t b) {
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    constexpr std::uint64_t prime = 0x9e3779b97f4a7c15;
    return fold(fold(key.high ^ secret, odd) ^ key.low, prime ^ secret);
}

/// How many connections and streams each source has. All reactors share it; it is asked when a connection begins and
/// ends, never by a request. As large as the sources that have a connection now. Any thread.
class Sources {
 public:
    /// What the connections of one source have open together. Any thread; relaxed, it is only counted.
    using Streams = std::atomic<unsigned>;

    Sources();

    /// One more, unless it has `most` already: null then. The counter stays where it is until the connection leaves.
    Streams* enter(const SourceKey& source, unsigned most);
    void leave(const SourceKey& source);
    /// Sources with a connection.
    std::size_t size() const;

 private:
    struct Hash {
        std::uint64_t secret;
        std::size_t operator()(const SourceKey& key) const { return hash_of(key, secret | 1, secret); }
    };
    struct Entry {
        unsigned connections = 0;
        Streams streams{0};
    };
    struct alignas(64) Shard {
        mutable std::mutex mutex;
        std::unordered_map<SourceKey, Entry, Hash> open;
    };
    Shard& shard_of(const SourceKey& source) { return shards_[hash_of(source, secret_ | 1, secret_) % shards_.size()]; }

    const std::uint64_t secret_;
    std::array<Shard, 32> shards_;
};

}  // namespace edgeproxy::proxy
