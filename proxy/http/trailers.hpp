// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/http/fields.hpp"
#include "proxy/http/limits.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {

/// May such a field be a trailer? For a reader that gets names and values whole.
constexpr bool is_trailer(std::string_view name, std::string_view value) {
    return is_token(name) && name.size() <= max_trailer_name && is_field_value(value);
}

/// The trailer fields of one body, copied: at most max_trailer_fields and max_trailer_bytes (5.4 KB, pooled by the
/// caller).
class Trailers {
 public:
    /// Names with other characters than letters, digits and '-' (X_Foo): servers take them for others, so those of
    /// clients are dropped.
    enum class OddNames : bool { pass, drop };

    explicit Trailers(OddNames odd = OddNames::pass)  // NOLINT: the storage stays uninitialised on purpose
        : odd_(odd) {}
    Trailers(const Trailers&) = delete;
    Trailers& operator=(const Trailers&) = delete;

    /// Copies one in. false if there is no room. A name that is forbidden in trailers, or odd where these are dropped,
    /// is left out and counted; true.
    bool push(std::string_view name, std::string_view value);
    /// What came and may be forwarded, in order. Never to be merged into the head.
    std::span<const Field> fields() const { return {storage_.fields, count_}; }
    std::size_t dropped() const { return dropped_; }
    bool empty() const { return count_ == 0; }
    void clear() { count_ = used_ = pending_ = dropped_ = 0; }

    /// For a reader that gets a field byte by byte: the bytes of name and value, then `commit`. false if there is no
    /// room.
    bool append(char c);
    /// The bytes appended since the last commit are a field: a name of `name_size` bytes and a value, blanks around it.
    bool commit(std::size_t name_size);

 private:
    OddNames odd_;
    std::size_t count_ = 0, used_ = 0, pending_ = 0, dropped_ = 0;
    union Storage {
        Storage() {}  // NOLINT: nothing is constructed
        Field fields[max_trailer_fields];
    } storage_;
    std::array<char, max_trailer_bytes> bytes_;
};

}  // namespace edgeproxy::http
