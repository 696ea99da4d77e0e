// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace edgeproxy::http {

/// The memory of nghttp2 sessions.
///
/// Small blocks, some six for every request, are taken from lists of the thread, by size class, instead of from malloc.
/// A block that is as large as a frame, of which each session has one, has pages of its own: the library uses the
/// beginning of it. In the heap all of it would cost memory, since a handshake has used the place before; here the
/// pages that nobody has touched are none. Everything else is malloc's. Any thread; a block may be freed on another
/// one.
class Http2Heap {
 public:
    static constexpr std::size_t step = 64;            ///< of the size classes, with 8 bytes that belong to us
    static constexpr std::size_t largest_small = 504;  ///< of the lists
    static constexpr std::size_t smallest_large = 16 * 1024;
    static constexpr unsigned most_small = 1024;  ///< that one list keeps
    static constexpr unsigned most_large = 64;    ///< that one thread keeps

    /// For nghttp2_session_*_new3; static.
    static nghttp2_mem* memory();

    /// As malloc, realloc and free.
    static void* allocate(std::size_t size) noexcept;
    static void* resize(void* block, std::size_t size) noexcept;
    static void release(void* block) noexcept;
    /// The block was not made by malloc.
    static bool is_own(const void* block);
    /// Gives what this thread keeps back: memory is short.
    static void trim() noexcept;
    /// Blocks that this thread keeps for this size.
    static unsigned kept(std::size_t size) noexcept;
};

}  // namespace edgeproxy::http
