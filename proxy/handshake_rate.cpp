// SPDX-License-Identifier: Apache-2.0
#include "proxy/handshake_rate.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace edgeproxy::proxy {
namespace {

/// A good mix of 64 bits (splitmix64).
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

bool is_v4(const std::array<std::uint8_t, 16>& ip) {
    constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(mapped.begin(), mapped.end(), ip.begin());
}

}  // namespace

HandshakeRate::HandshakeRate(std::uint64_t secret) : secret_(secret), sets_(sets) {}

std::uint64_t HandshakeRate::hash(const io::Peer& peer, std::size_t listener) const {
    std::uint64_t high = 0, low = 0;
    std::memcpy(&high, peer.ip.data(), sizeof high);
    if (is_v4(peer.ip)) std::memcpy(&low, peer.ip.data() + sizeof high, sizeof low);
    const std::uint64_t mixed = mix(mix(mix(secret_ ^ high) + low) + listener + 1);
    return mixed == 0 ? 1 : mixed;
}

bool HandshakeRate::take(const io::Peer& peer, std::size_t listener, const Limit& limit, io::TimePoint now) {
    if (limit.burst == 0 || !peer.is_ip) return true;
    const std::int64_t at = std::chrono::nanoseconds(now.time_since_epoch()).count();
    const std::int64_t window = std::chrono::nanoseconds(limit.window).count();
    const std::int64_t each = std::max<std::int64_t>(1, window / limit.burst);
    const std::uint64_t source = hash(peer, listener);
    const std::size_t index = source % sets;
    const std::lock_guard lock(locks_[index % shards]);
    auto& set = sets_[index];
    auto entry = std::find_if(set.begin(), set.end(), [&](const Entry& one) { return one.source == source; });
    if (entry == set.end()) {
        entry = std::min_element(set.begin(), set.end(),
                                 [](const Entry& a, const Entry& b) { return a.whole_at < b.whole_at; });
        *entry = {source, at};
    }
    const std::int64_t begin = std::max(entry->whole_at, at);
    if (begin + each - at > window) return false;
    entry->whole_at = begin + each;
    return true;
}

}  // namespace edgeproxy::proxy
