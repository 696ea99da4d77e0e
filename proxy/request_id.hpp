// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace edgeproxy::proxy {

/// Makes request ids: UUIDs of version 7 (RFC 9562, section 5.7), sortable by time. Unique, not secret. One per
/// reactor.
class RequestIds {
 public:
    static constexpr std::size_t size = 36;

    /// Seeds itself from the kernel.
    RequestIds();
    /// Writes one into `out` for a wall clock of `unix_ms` milliseconds since 1970, and returns it as a view of `out`.
    std::string_view next(std::uint64_t unix_ms, std::array<char, size>& out);
    /// A number to spread things by.
    std::uint64_t random();

 private:
    std::array<std::uint64_t, 2> state_;
};

}  // namespace edgeproxy::proxy
