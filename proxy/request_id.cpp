// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.hpp"

#include <sys/random.h>

#include <bit>

namespace edgeproxy::proxy {

RequestIds::RequestIds() : state_{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9} {
    std::array<std::uint64_t, 2> seed;
    if (::getrandom(seed.data(), sizeof seed, 0) == static_cast<ssize_t>(sizeof seed)) state_ = {seed[0] | 1, seed[1]};
}

std::uint64_t RequestIds::random() {
    // xoroshiro128+
    const std::uint64_t a = state_[0];
    std::uint64_t b = state_[1];
    const std::uint64_t result = a + b;
    b ^= a;
    state_[0] = std::rotl(a, 24) ^ b ^ (b << 16);
    state_[1] = std::rotl(b, 37);
    return result;
}

std::string_view RequestIds::next(std::uint64_t unix_ms, std::array<char, size>& out) {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::uint64_t high = (unix_ms << 16) | 0x7000 | (random() >> 52);
    const std::uint64_t low = 0x8000000000000000 | (random() >> 2);
    std::size_t at = 0;
    const auto write = [&](std::uint64_t word, int from, int to) {
        for (int shift = from; shift >= to; shift -= 4) out[at++] = digits[(word >> shift) & 15];
    };
    write(high, 60, 32);
    out[at++] = '-';
    write(high, 28, 16);
    out[at++] = '-';
    write(high, 12, 0);
    out[at++] = '-';
    write(low, 60, 48);
    out[at++] = '-';
    write(low, 44, 0);
    return {out.data(), out.size()};
}

}  // namespace edgeproxy::proxy
