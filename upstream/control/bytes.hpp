// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Numbers and text as bytes: what the messages, the commands and the state of an upgrade are made of.
namespace edgeproxy::control {

/// Appends a number, its least byte first.
template <std::unsigned_integral U>
void put(std::string& out, U value) {
    for (std::size_t i = 0; i < sizeof(U); ++i)
        out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i))));
}

/// Takes bytes apart. Where too few are left, and from then on, every answer is zero or empty: one look at `finished`
/// in the end tells whether all of it was right. The bytes must outlive it and what `take` gave.
class ByteReader {
 public:
    explicit ByteReader(std::span<const char> bytes) : rest_(bytes) {}

    template <std::unsigned_integral U>
    U number() {
        std::uint64_t value = 0;
        const std::string_view bytes = take(sizeof(U));
        for (std::size_t i = 0; i < bytes.size(); ++i)
            value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
        return static_cast<U>(value);
    }
    std::string_view take(std::size_t size) {
        if (size > rest_.size()) failed_ = true;
        if (failed_) return {};
        const std::string_view taken(rest_.data(), size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    std::size_t left() const { return rest_.size(); }

    /// What was read makes no sense.
    void fail() { failed_ = true; }
    bool failed() const { return failed_; }
    /// Nothing was wrong, and nothing is left.
    bool finished() const { return !failed_ && rest_.empty(); }

 private:
    std::span<const char> rest_;
    bool failed_ = false;
};

}  // namespace edgeproxy::control
