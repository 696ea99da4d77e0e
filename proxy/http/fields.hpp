// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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
/// so that `clear` costs nothing: keep heads in a pool. Counts the ids, so that `has` and `find` need no search.
class Fields {
 public:
    static constexpr std::size_t capacity = 200;

    Fields() {}  // NOLINT: the arrays stay uninitialised on purpose
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;

    /// Appends; false, and nothing is changed, if it is full. `name` and `value` must be valid already (is_token,
    /// is_field_value) and outlive this object.
    bool push(std::string_view name, std::string_view value) { return push(name, value, lookup(name)); }
    bool push(std::string_view name, std::string_view value, FieldId id) {
        if (size_ == capacity) return false;
        push_within(name, value, id);
        return true;
    }
    /// The same for who has made sure that it is not full.
    void push_within(std::string_view name, std::string_view value, FieldId id) {
        last_[index(id)] = static_cast<std::uint8_t>(size_);
        ++counts_[index(id)];
        ::new (&storage_.fields[size_++]) Field{name, value, id};
    }

    void clear() {
        size_ = 0;
        counts_.fill(0);
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
    bool has(FieldId id) const { return counts_[index(id)] != 0; }
    /// Is there more than one?
    bool repeated(FieldId id) const { return counts_[index(id)] > 1; }
    /// How many have this id.
    std::size_t count(FieldId id) const { return counts_[index(id)]; }
    /// The first with this id, or null.
    const Field* find(FieldId id) const {
        if (!repeated(id)) return has(id) ? &storage_.fields[last_[index(id)]] : nullptr;
        return find_first(id);
    }
    /// The first with this name in any case, or null. For names that have no id.
    const Field* find(std::string_view name) const;
    /// The value of the first with this id, or "".
    std::string_view value(FieldId id) const {
        const Field* found = find(id);
        return found ? found->value : std::string_view{};
    }

 private:
    static constexpr std::size_t index(FieldId id) { return static_cast<std::size_t>(id); }
    const Field* find_first(FieldId id) const;

    std::size_t size_ = 0;
    std::array<std::uint8_t, field_id_count> counts_{};
    std::array<std::uint8_t, field_id_count> last_;  // where the last one with an id is; says nothing at a count of 0
    union Storage {
        Storage() {}  // NOLINT: nothing is constructed
        Field fields[capacity];
    } storage_;
    static_assert(capacity < 256);
};

}  // namespace edgeproxy::http
