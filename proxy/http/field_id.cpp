// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/field_id.hpp"

#include <array>
#include <cstring>

#include "proxy/http/field_rows.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

// A name is found by a hash that no two names share (the static_assert below) and one comparison. Who adds a name for
// which it fails looks for another multiplier: any odd number that passes will do.
constexpr std::uint32_t multiplier = 0x255a5bc9;
constexpr unsigned hash_bits = 9;
constexpr std::size_t shortest = 2, longest = 32;

constexpr std::uint32_t folded(char c) {
    return static_cast<unsigned char>(c) | 0x20U;
}

constexpr std::size_t hash(std::string_view name) {
    const std::size_t n = name.size();
    const std::uint32_t key =
        (folded(name[0]) | folded(name[n / 2]) << 8 | folded(name[n - 1]) << 16 | folded(name[n * 3 / 4]) << 24) +
        static_cast<std::uint32_t>(n) * 0x01010101U;
    return (key * multiplier) >> (32 - hash_bits);
}

constexpr bool is_prefix(FieldId id) {
    return id == FieldId::x_forwarded_any || id == FieldId::x_edgeproxy_any || id == FieldId::ssl_client_any ||
           id == FieldId::x_sendfile_any || id == FieldId::x_accel_any;
}

struct Slot {
    char name[longest];
    std::uint8_t size;
    FieldId id;
};
struct Slots {
    std::array<std::uint8_t, 1U << hash_bits> index;  // 0: nothing
    std::array<Slot, field_id_count> slots;
    bool collision;
};

constexpr Slots make_slots() {
    Slots table{};
    for (const detail::FieldRow& row : detail::field_rows) {
        if (row.name.empty() || is_prefix(row.id)) continue;
        const auto i = static_cast<std::uint8_t>(row.id);
        std::uint8_t& index = table.index[hash(row.name)];
        if (index != 0 || row.name.size() > longest || row.name.size() < shortest) table.collision = true;
        index = i;
        Slot& slot = table.slots[i];
        for (std::size_t k = 0; k < row.name.size(); ++k) slot.name[k] = row.name[k];
        slot.size = static_cast<std::uint8_t>(row.name.size());
        slot.id = row.id;
    }
    return table;
}
constexpr Slots table = make_slots();
static_assert(!table.collision);

template <class Word>
Word load(const char* p) {
    Word word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// Or-ing 0x20 folds the case of letters; of the other bytes of a token none becomes a letter, a digit or '-' by it.
template <class Word>
bool differs(const char* name, const char* lower_case) {
    return (load<Word>(name) | static_cast<Word>(0x2020202020202020U)) != load<Word>(lower_case);
}

bool same(std::string_view name, const Slot& slot) {
    const std::size_t n = name.size();
    if (n != slot.size) return false;
    const char* a = name.data();
    const char* b = slot.name;
    if (n >= 8) {
        for (std::size_t i = 0; i + 8 < n; i += 8) {
            if (differs<std::uint64_t>(a + i, b + i)) return false;
        }
        return !differs<std::uint64_t>(a + n - 8, b + n - 8);
    }
    if (n >= 4) return !differs<std::uint32_t>(a, b) && !differs<std::uint32_t>(a + n - 4, b + n - 4);
    return !differs<std::uint16_t>(a, b) && !differs<std::uint16_t>(a + n - 2, b + n - 2);
}

FieldId by_prefix(std::string_view name) {
    if (lower(name[0]) != 'x' && lower(name[0]) != 's') return FieldId::other;
    for (const FieldId id : {FieldId::x_forwarded_any, FieldId::x_accel_any, FieldId::x_sendfile_any,
                             FieldId::x_edgeproxy_any, FieldId::ssl_client_any}) {
        if (istarts_with(name, name_of(id))) return id;
    }
    return FieldId::other;
}

// WSGI and CGI turn '-' into '_', some servers other characters too: what would such a name become?
FieldId by_alias(std::string_view name) {
    constexpr std::size_t longest_name = 256;
    constexpr unsigned matters =
        hop_by_hop | protected_from_connection | client_identity | dropped_from_clients | dropped_from_endpoints;
    std::array<char, longest_name> plain;
    const std::size_t n = name.size() < longest_name ? name.size() : longest_name;
    for (std::size_t i = 0; i < n; ++i) plain[i] = is_char(name[i], char_plain_name) ? name[i] : '-';
    const FieldId id = lookup_plain({plain.data(), n});
    return has_trait(id, matters) ? FieldId::odd_alias : FieldId::odd;
}

}  // namespace

unsigned traits(FieldId id) {
    return detail::field_rows[static_cast<std::size_t>(id)].traits;
}

std::string_view name_of(FieldId id) {
    return detail::field_rows[static_cast<std::size_t>(id)].name;
}

FieldId lookup_plain(std::string_view name) {
    if (name.size() < shortest) return FieldId::other;
    const Slot& slot = table.slots[table.index[hash(name)]];
    if (same(name, slot)) return slot.id;
    return by_prefix(name);
}

FieldId lookup(std::string_view name) {
    return all_chars(name, char_plain_name) ? lookup_plain(name) : by_alias(name);
}

}  // namespace edgeproxy::http
