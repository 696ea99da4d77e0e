// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "proxy/http/field_rows.hpp"
#include "proxy/http/text.hpp"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// The known names in a shape that is quick to ask. For the scanner and `lookup` only.
namespace edgeproxy::http::detail {

// A name of at least four letters is found by a hash of its ends that no two names share (the static_assert below),
// then compared once. Who adds a name for which it fails looks for another odd multiplier: one in some thousand will
// do.
inline constexpr std::uint32_t hash_multiplier = 0xe6c15935;
inline constexpr unsigned hash_bits = 9;
inline constexpr std::size_t longest_known = 32;
inline constexpr std::size_t shortest_hashed = 4;

constexpr std::uint32_t byte(char c) {
    return static_cast<unsigned char>(c);
}
constexpr std::uint32_t four(const char* p) {  // one load
    return (byte(p[0]) | byte(p[1]) << 8 | byte(p[2]) << 16 | byte(p[3]) << 24) | 0x20202020U;
}
constexpr std::size_t hash(const char* name, std::size_t size) {
    const std::uint32_t ends = four(name) + four(name + size - 4) + static_cast<std::uint32_t>(size);
    return (ends * hash_multiplier) >> (32 - hash_bits);
}

constexpr bool is_family(FieldId id) {
    return id == FieldId::x_forwarded_any || id == FieldId::x_edgeproxy_any || id == FieldId::ssl_client_any ||
           id == FieldId::x_client_cert_any || id == FieldId::client_cert_any || id == FieldId::x_sendfile_any ||
           id == FieldId::x_accel_any;
}

struct KnownName {
    char text[longest_known];  ///< zero behind its end
};
struct NameTable {
    std::array<std::uint8_t, 1U << hash_bits> id;   ///< 0: nothing
    std::array<std::uint8_t, field_id_count> size;  ///< 0: not in the table
    alignas(16) std::array<KnownName, field_id_count> name;
    bool collision;
};

constexpr NameTable make_name_table() {
    NameTable table{};
    for (const FieldRow& row : field_rows) {
        if (row.name.size() < shortest_hashed || is_family(row.id)) continue;
        const auto id = static_cast<std::uint8_t>(row.id);
        std::uint8_t& slot = table.id[hash(row.name.data(), row.name.size())];
        if (slot != 0 || row.name.size() > longest_known) table.collision = true;
        slot = id;
        table.size[id] = static_cast<std::uint8_t>(row.name.size());
        for (std::size_t i = 0; i < row.name.size(); ++i) table.name[id].text[i] = row.name[i];
    }
    return table;
}
inline constexpr NameTable name_table = make_name_table();
static_assert(!name_table.collision);

/// How many bytes at `name` must be readable for `same_name` and `known_name`.
constexpr std::size_t readable_for(std::size_t size) {
    return size <= 16 ? 16 : 32;
}

#if defined(__SSE2__)
/// Are the first `size` (1..16) bytes equal to `known` in any case? Exact: only where `known` has a letter (bit 0x40 is
/// set) bit 0x20 does not count. So equality also proves that every byte is one of a name.
inline bool same_block(const char* name, const char* known, std::size_t size) {
    const __m128i wanted = _mm_load_si128(reinterpret_cast<const __m128i*>(known));
    const __m128i fold = _mm_srli_epi16(_mm_and_si128(wanted, _mm_set1_epi8(0x40)), 1);
    const __m128i found = _mm_or_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(name)), fold);
    const auto equal = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(wanted, found)));
    return (~equal & ((1U << size) - 1)) == 0;
}
inline bool same_name(const char* name, const char* known, std::size_t size) {
    if (size <= 16) return same_block(name, known, size);
    return same_block(name, known, 16) && same_block(name + 16, known + 16, size - 16);
}
#else
inline bool same_name(const char* name, const char* known, std::size_t size) {
    return iequals({name, size}, {known, size});
}
#endif

/// The id of the known name of 4..32 bytes at `name`, or `other`. Any bytes may stand there.
inline FieldId known_name(const char* name, std::size_t size) {
    const std::uint8_t id = name_table.id[hash(name, size)];
    if (name_table.size[id] != size || !same_name(name, name_table.name[id].text, size)) return FieldId::other;
    return static_cast<FieldId>(id);
}

/// The id of a family (`x-forwarded-`...) that a name of letters, digits and '-' belongs to, or `other`.
FieldId family_of(std::string_view name);

}  // namespace edgeproxy::http::detail
