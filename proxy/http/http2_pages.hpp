// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace edgeproxy::http {

/// Memory of nghttp2 sessions: from malloc, but a block that is as large as a frame, of which each session has one,
/// has pages of its own.
///
/// The library uses the beginning of that block. In the heap all of it would cost memory, since a handshake has used
/// the place before; here the pages that nobody has touched are none. Some are kept for the next session of the thread.
/// Any thread; a block may be freed on another one.
class Http2Pages {
 public:
    static constexpr std::size_t smallest = 16 * 1024;
    static constexpr unsigned most_kept = 64;  ///< by one thread

    /// For nghttp2_session_*_new3; static.
    static nghttp2_mem* memory();

    /// As malloc and free.
    static void* allocate(std::size_t size) noexcept;
    static void release(void* block) noexcept;
    /// The block was not made by malloc.
    static bool is_own(const void* block);
    /// Blocks that this thread keeps.
    static unsigned kept() noexcept;
};

}  // namespace edgeproxy::http
