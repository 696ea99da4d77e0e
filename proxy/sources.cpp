// SPDX-License-Identifier: Apache-2.0
#include "proxy/sources.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace edgeproxy::proxy {

SourceKey source_of(const std::array<std::uint8_t, 16>& ip) {
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    SourceKey key;
    std::memcpy(&key.high, ip.data(), sizeof key.high);
    if (std::equal(mapped.begin(), mapped.end(), ip.begin())) std::memcpy(&key.low, ip.data() + 8, sizeof key.low);
    return key;
}

bool is_within(const std::array<std::uint8_t, 16>& ip, std::span<const config::Cidr> ranges) {
    std::uint8_t bytes[16];
    std::copy(ip.begin(), ip.end(), bytes);
    return std::any_of(ranges.begin(), ranges.end(), [&](const config::Cidr& range) { return range.contains(bytes); });
}

Sources::Sources()
    : secret_([] {
          std::random_device device;
          return std::uint64_t{device()} << 32 | device();
      }()) {
    for (Shard& shard : shards_) shard.open = std::unordered_map<SourceKey, Entry, Hash>(0, Hash{secret_});
}

Sources::Streams* Sources::enter(const SourceKey& source, unsigned most) {
    Shard& shard = shard_of(source);
    const std::lock_guard lock(shard.mutex);
    Entry& entry = shard.open[source];
    if (entry.connections >= most) return nullptr;  // it is there, so it has some
    ++entry.connections;
    return &entry.streams;
}

void Sources::leave(const SourceKey& source) {
    Shard& shard = shard_of(source);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.open.find(source);
    if (found == shard.open.end()) return;
    if (--found->second.connections == 0) shard.open.erase(found);
}

std::size_t Sources::size() const {
    std::size_t sum = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        sum += shard.open.size();
    }
    return sum;
}

}  // namespace edgeproxy::proxy
