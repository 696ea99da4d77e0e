// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "proxy/http/text.hpp"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// Finding the first byte that is not like the others, sixteen at a time. Each function looks at [p, end) only and
/// returns the first byte that stops it, or `end`. On machines without SSE2 the same by table.
namespace edgeproxy::http::scan {

#if defined(__SSE2__)

namespace detail {

/// 1 to 15 bytes, the rest zero (zero stops every scan here), without touching a byte behind them.
inline __m128i load_tail(const char* p, std::size_t n) {
    std::uint64_t low = 0, high = 0;
    if (n >= 8) {
        std::memcpy(&low, p, 8);
        if (n > 8) {
            std::memcpy(&high, p + n - 8, 8);
            high >>= 8 * (16 - n);
        }
    } else if (n >= 4) {
        std::uint32_t first = 0, last = 0;
        std::memcpy(&first, p, 4);
        std::memcpy(&last, p + n - 4, 4);
        low = first | static_cast<std::uint64_t>(last) << (8 * (n - 4));
    } else {
        for (std::size_t i = 0; i < n; ++i)
            low |= static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
    }
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

template <class Stops>
[[gnu::always_inline]] inline const char* find(const char* p, const char* end, Stops stops) {
    if (end - p >= 16) {
        const char* const last = end - 16;
        do {
            const int mask = _mm_movemask_epi8(stops(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
            if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
            p += 16;
        } while (p <= last);
    }
    const auto left = static_cast<std::size_t>(end - p);
    if (left == 0) return end;
    const int mask = _mm_movemask_epi8(stops(load_tail(p, left)));
    const auto at = static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(mask) | 0x10000U));
    return at < left ? p + at : end;
}

inline __m128i in_range(__m128i bytes, char first, char last) {
    const __m128i from_zero = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
    return _mm_cmpeq_epi8(_mm_min_epu8(from_zero, _mm_set1_epi8(static_cast<char>(last - first))), from_zero);
}
inline __m128i equal(__m128i bytes, char c) {
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}
inline __m128i up_to(__m128i bytes, char c) {
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(c)), bytes);
}

inline __m128i plain(__m128i bytes) {
    const __m128i letter = in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    return _mm_or_si128(_mm_or_si128(letter, in_range(bytes, '0', '9')), equal(bytes, '-'));
}

inline __m128i not_target(__m128i bytes) {
    const __m128i del_and_8bit = _mm_cmpeq_epi8(_mm_max_epu8(bytes, _mm_set1_epi8(0x7f)), bytes);
    return _mm_or_si128(_mm_or_si128(up_to(bytes, ' '), del_and_8bit), equal(bytes, '#'));
}

}  // namespace detail

/// Stops at what is no letter, digit or '-'.
inline const char* name_end(const char* p, const char* end) {
    return detail::find(p, end,
                        [](__m128i bytes) { return _mm_cmpeq_epi8(detail::plain(bytes), _mm_setzero_si128()); });
}

/// The first ':' of the next 32 bytes, or null; null as well if there is none in the next 16 and fewer than 32 are
/// there. [p, p + 16) must be readable.
inline const char* near_colon(const char* p, const char* end) {
    const auto colons = [](const char* at) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        return static_cast<unsigned>(_mm_movemask_epi8(detail::equal(bytes, ':')));
    };
    if (const unsigned mask = colons(p); mask != 0) return p + __builtin_ctz(mask);
    if (end - p < 32) return nullptr;
    const unsigned mask = colons(p + 16);
    return mask != 0 ? p + 16 + __builtin_ctz(mask) : nullptr;
}

/// Are the `size` (1..32) bytes at p letters, digits and '-'? 16 bytes must be readable, 32 for a size above 16.
inline bool is_near_name(const char* p, std::size_t size) {
    const auto plain = [](const char* at) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        return static_cast<std::uint64_t>(_mm_movemask_epi8(detail::plain(bytes)));
    };
    const std::uint64_t mask = size <= 16 ? plain(p) : plain(p) | plain(p + 16) << 16;
    return (~mask & ((std::uint64_t{1} << size) - 1)) == 0;
}

/// Stops at a control (HTAB too) or DEL.
inline const char* value_end(const char* p, const char* end) {
    return detail::find(
        p, end, [](__m128i bytes) { return _mm_or_si128(detail::up_to(bytes, 0x1f), detail::equal(bytes, 0x7f)); });
}

/// Stops at what a request target must not have: control, SP, '#', DEL, 8-bit.
inline const char* target_end(const char* p, const char* end) {
    return detail::find(p, end, [](__m128i bytes) { return detail::not_target(bytes); });
}

/// Stops at the same, and at '%', '\' and '?'.
inline const char* path_end(const char* p, const char* end) {
    return detail::find(p, end, [](__m128i bytes) {
        const __m128i special = _mm_or_si128(detail::equal(bytes, '%'), detail::equal(bytes, '\\'));
        return _mm_or_si128(detail::not_target(bytes), _mm_or_si128(special, detail::equal(bytes, '?')));
    });
}

/// Stops at '%', ';', and a '/' before another '/' or a '.'.
inline const char* path_trick(const char* p, const char* end) {
    const auto tricks = [](__m128i bytes, __m128i next) {
        const __m128i either = _mm_or_si128(detail::equal(bytes, '%'), detail::equal(bytes, ';'));
        const __m128i behind = _mm_or_si128(detail::equal(next, '/'), detail::equal(next, '.'));
        return _mm_movemask_epi8(_mm_or_si128(either, _mm_and_si128(detail::equal(bytes, '/'), behind)));
    };
    const auto load = [](const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
    for (; end - p > 16; p += 16) {
        const int mask = tricks(load(p), load(p + 1));
        if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    }
    const auto size = static_cast<std::size_t>(end - p);
    const __m128i last = size == 16 ? load(p) : detail::load_tail(p, size);
    const int mask = tricks(last, _mm_srli_si128(last, 1));
    return mask != 0 ? p + __builtin_ctz(static_cast<unsigned>(mask)) : end;
}

/// Stops at what is no letter, digit, '-', '.' or '_'. `empty_label` is set if there are two dots side by side, or one
/// at p.
inline const char* host_end(const char* p, const char* end, bool& empty_label) {
    unsigned dot_before = 1;
    for (;;) {
        const auto size = static_cast<std::size_t>(end - p);
        const __m128i bytes =
            size >= 16 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)) : detail::load_tail(p, size);
        const __m128i dot = detail::equal(bytes, '.');
        const __m128i other = _mm_or_si128(detail::equal(bytes, '_'), dot);
        const auto good = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(detail::plain(bytes), other)));
        const auto dots = static_cast<unsigned>(_mm_movemask_epi8(dot));
        if ((dots & (dots << 1 | dot_before)) != 0) empty_label = true;
        if (good != 0xffff) return p + __builtin_ctz(~good);
        dot_before = dots >> 15;
        p += 16;
    }
}

#else

template <class Stops>
const char* find(const char* p, const char* end, Stops stops) {
    while (p != end && !stops(*p)) ++p;
    return p;
}
inline const char* name_end(const char* p, const char* end) {
    return find(p, end, [](char c) { return !is_char(c, char_plain_name); });
}
inline bool is_near_name(const char* p, std::size_t size) {
    return all_chars({p, size}, char_plain_name);
}
inline const char* near_colon(const char* p, const char* end) {
    const std::size_t size = end - p < 32 ? static_cast<std::size_t>(end - p) : 32;
    return static_cast<const char*>(std::memchr(p, ':', size));
}
inline const char* value_end(const char* p, const char* end) {
    return find(p, end, [](char c) { return c == '\t' || !is_char(c, char_value); });
}
inline const char* target_end(const char* p, const char* end) {
    return find(p, end, [](char c) { return !is_char(c, char_target); });
}
inline const char* path_end(const char* p, const char* end) {
    return find(p, end, [](char c) { return c == '%' || c == '\\' || c == '?' || !is_char(c, char_target); });
}

inline const char* path_trick(const char* p, const char* end) {
    for (; p != end; ++p) {
        if (*p == '%' || *p == ';') return p;
        if (*p == '/' && p + 1 != end && (p[1] == '/' || p[1] == '.')) return p;
    }
    return end;
}
inline const char* host_end(const char* p, const char* end, bool& empty_label) {
    for (char before = '.'; p != end && (is_char(*p, char_plain_name) || *p == '.' || *p == '_'); before = *p++) {
        if (*p == '.' && before == '.') empty_label = true;
    }
    return p;
}

#endif

}  // namespace edgeproxy::http::scan
