// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <random>
#include <string>

#include "peer.hpp"

namespace edgeproxy::tls {

/// Bytes that do not repeat, the same each time.
inline std::string noise(std::size_t size) {
    std::mt19937 random{7};
    std::string text(size, ' ');
    for (char& c : text) c = static_cast<char>(random());
    return text;
}

inline io::Task<void> reads(Stream& stream, std::size_t buffer_size, std::string& got, io::error_code& end) {
    std::string buffer(buffer_size, ' ');
    for (;;) {
        const auto count = co_await stream.read_some(buffer);
        if (count.has_error()) {
            end = count.error();
            co_return;
        }
        got.append(buffer, 0, *count);
    }
}

inline io::Task<void> writes(Stream& stream, std::string_view first, std::string_view second,
                             io::Result<std::size_t>& done) {
    done = co_await stream.write_all(first, second);
}

inline const io::Result<std::size_t> pending{io::errc::cancelled};

inline Wishes of_version(int version) {
    return {.lowest = version, .highest = version};
}

}  // namespace edgeproxy::tls
