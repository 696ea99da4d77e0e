// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>

#include "proxy/http/field_id.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {

/// One field line. The views point into the buffer it was read from (or at literals).
struct Field {
    std::string_view name;   ///< as it was written, case kept
    std::string_view value;  ///< without blanks around it
    FieldId id;
};

/// The fields of one head, in the order they came; at most `capacity`. 8 KB that are not touched before they are used,
/// so that `clear` costs nothing: keep heads in a pool. Remembers which ids are there, so that `has` is one
/// instruction.
class Fields {
 public:
    static constexpr std::size_t capacity = 200;

    Fields() {}  // NOLINT: the array stays uninitialised on purpose
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;

    /// Appends; false, and nothing is changed, if it is full. `name` and `value` must be valid already (is_token,
    /// is_field_value) and outlive this object.
    bool push(std::string_view name, std::string_view value) { return push(name, value, lookup(name)); }
    bool push(std::string_view name, std::string_view value, FieldId id) {
        if (size_ == capacity) return false;
        ::new (&storage_.fields[size_++]) Field{name, value, id};
        const std::size_t word = static_cast<std::size_t>(id) / 64;
        const std::uint64_t bit = std::uint64_t{1} << (static_cast<unsigned>(id) % 64);
        twice_[word] |= seen_[word] & bit;
        seen_[word] |= bit;
        return true;
    }

    void clear() {
        size_ = 0;
        seen_[0] = seen_[1] = twice_[0] = twice_[1] = 0;
    }

    const Field* begin() const { return storage_.fields; }
    const Field* end() const { return storage_.fields + size_; }
    Field* begin() { return storage_.fields; }
    Field* end() { return storage_.fields + size_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const Field& operator[](std::size_t i) const { return storage_.fields[i]; }
    operator std::span<const Field>() const { return {begin(), size_}; }

    /// Is there a field with this id?
    bool has(FieldId id) const { return (seen_[word(id)] & bit(id)) != 0; }
    /// Is there more than one?
    bool repeated(FieldId id) const { return (twice_[word(id)] & bit(id)) != 0; }
    /// The first with this id, or null.
    const Field* find(FieldId id) const;
    /// The first with this name in any case, or null. For names that have no id.
    const Field* find(std::string_view name) const;
    /// The value of the first with this id, or "".
    std::string_view value(FieldId id) const {
        const Field* found = find(id);
        return found ? found->value : std::string_view{};
    }
    /// How many have this id.
    std::size_t count(FieldId id) const;

 private:
    static constexpr std::size_t word(FieldId id) { return static_cast<std::size_t>(id) / 64; }
    static constexpr std::uint64_t bit(FieldId id) { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); }

    std::size_t size_ = 0;
    std::uint64_t seen_[2] = {0, 0};
    std::uint64_t twice_[2] = {0, 0};
    union Storage {
        Storage() {}
        Field fields[capacity];
    } storage_;
    static_assert(field_id_count <= 128);
};

}  // namespace edgeproxy::http
