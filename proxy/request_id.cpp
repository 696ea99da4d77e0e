// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_id.hpp"

#include <sys/random.h>

#include <bit>
#include <cstring>

namespace edgeproxy::proxy {
namespace {

/// Both digits of each byte.
constexpr std::array<std::array<char, 2>, 256> hex_pairs = [] {
    constexpr std::string_view digits = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> out{};
    for (std::size_t byte = 0; byte < out.size(); ++byte) out[byte] = {digits[byte >> 4], digits[byte & 15]};
    return out;
}();

}  // namespace

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
    const std::uint64_t high = (unix_ms << 16) | 0x7000 | (random() >> 52);
    const std::uint64_t low = 0x8000000000000000 | (random() >> 2);
    char* at = out.data();
    const auto write = [&](std::uint64_t word, int first, int last) {
        for (int byte = first; byte >= last; --byte) {
            std::memcpy(at, &hex_pairs[(word >> (8 * byte)) & 255], 2);
            at += 2;
        }
    };
    write(high, 7, 4);
    *at++ = '-';
    write(high, 3, 2);
    *at++ = '-';
    write(high, 1, 0);
    *at++ = '-';
    write(low, 7, 6);
    *at++ = '-';
    write(low, 5, 0);
    return {out.data(), out.size()};
}

}  // namespace edgeproxy::proxy
