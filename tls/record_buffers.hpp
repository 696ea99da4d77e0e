// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace edgeproxy::tls {

/// The memory that OpenSSL reads records into and writes them from: some 16.5 KiB each, had for every burst of a
/// connection and given back when it falls silent (SSL_MODE_RELEASE_BUFFERS).
///
/// Each thread keeps the last ones for the next connection. They are as warm as can be, and no long-lived small
/// allocation settles in the holes that they would leave in the heap. Everything else goes to malloc as before. Any
/// thread; a block may be freed on another one.
class RecordBuffers {
 public:
    static constexpr std::size_t smallest = 16 * 1024 + 1;
    static constexpr std::size_t largest = 17 * 1024;
    static constexpr unsigned most_kept = 64;  ///< by one thread

    /// Makes OpenSSL take its memory here. Before its first use in this process: false if that is over, and nothing is
    /// changed then.
    [[nodiscard]] static bool install();

    /// As malloc and free.
    static void* allocate(std::size_t size) noexcept;
    static void release(void* block) noexcept;
    /// Gives what this thread keeps back to the heap: memory is short.
    static void trim() noexcept;
    /// Blocks that this thread keeps.
    static unsigned kept() noexcept;
};

}  // namespace edgeproxy::tls
