// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/sha1.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace edgeproxy::http {
namespace {

constexpr std::size_t block_size = 64;
using State = std::array<std::uint32_t, 5>;
using Block = std::array<std::uint8_t, block_size>;

struct Round {
    std::uint32_t f;
    std::uint32_t constant;
};

Round round(std::size_t i, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    if (i < 20) return {(b & c) | (~b & d), 0x5a827999};
    if (i < 40) return {b ^ c ^ d, 0x6ed9eba1};
    if (i < 60) return {(b & c) | (b & d) | (c & d), 0x8f1bbcdc};
    return {b ^ c ^ d, 0xca62c1d6};
}

void add_block(State& state, const Block& block) {
    std::array<std::uint32_t, 80> w;
    for (std::size_t i = 0; i < 16; ++i) {
        w[i] = static_cast<std::uint32_t>(block[4 * i]) << 24 | static_cast<std::uint32_t>(block[4 * i + 1]) << 16 |
               static_cast<std::uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
    }
    for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = state;
    for (std::size_t i = 0; i < 80; ++i) {
        const Round r = round(i, b, c, d);
        const std::uint32_t next = std::rotl(a, 5) + r.f + e + r.constant + w[i];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

std::array<std::uint8_t, 20> sha1(std::string_view text) {
    State state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const std::uint64_t bits = static_cast<std::uint64_t>(text.size()) * 8;
    Block block;
    while (text.size() >= block_size) {
        std::copy_n(text.begin(), block_size, block.begin());
        add_block(state, block);
        text.remove_prefix(block_size);
    }
    block.fill(0);
    std::copy(text.begin(), text.end(), block.begin());
    block[text.size()] = 0x80;
    if (text.size() >= block_size - 8) {
        add_block(state, block);
        block.fill(0);
    }
    for (std::size_t i = 0; i < 8; ++i) block[block_size - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
    add_block(state, block);
    std::array<std::uint8_t, 20> digest;
    for (std::size_t i = 0; i < digest.size(); ++i) {
        digest[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
    }
    return digest;
}

}  // namespace edgeproxy::http
