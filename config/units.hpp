// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.hpp"

/// Lengths of time, sizes and counts as people write them. A unit is always required; plain decimal digits only, no
/// signs, no fractions.
namespace edgeproxy::config {

/// Either the value, or one sentence about what is wrong with a hint that says what to write.
template <class T>
struct Parsed {
    std::optional<T> value;
    std::string complaint;  ///< `"30" has no unit`; empty when there is a value
    std::string hint;       ///< `write 30s`
};

/// `500ms 30s 5m 1h30m 7d 1y` (a year has 365 days). Units may follow each other, each once, larger first. `0s` is
/// fine, `off` is not known here. At most 100 years.
Parsed<Duration> parse_duration(std::string_view text);
/// `0B 64KiB 10MiB 1GB`: B, KB MB GB TB (powers of 1000), KiB MiB GiB TiB (powers of 1024). One number, one unit.
Parsed<ByteSize> parse_size(std::string_view text);
/// A whole number: digits without a leading zero.
Parsed<std::uint64_t> parse_count(std::string_view text);
/// `true` or `false`, nothing else.
Parsed<bool> parse_boolean(std::string_view text);

/// The shortest text that reads back as the same value: `1h30m`, `64KiB`, `1500B`.
std::string format_duration(Duration value);
std::string format_size(ByteSize value);

}  // namespace edgeproxy::config
