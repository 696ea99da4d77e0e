// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace edgeproxy::io {

/// malloc for a library that lets its user bring one: small blocks come from FramePool, those of a record or a frame
/// from LargeBlocks, all others from malloc itself. Any thread; a block may be released on another one.
class LibraryHeap {
 public:
    /// What a library needs. Small blocks are aligned to 8 only.
    struct Needs {
        std::size_t largest_small = 0;  ///< 0 = none from FramePool
        bool untouched = false;         ///< it writes to little of a large block, so it is to be a fresh one
    };
    static constexpr std::size_t smallest_large = 16 * 1024 + 1;

    /// As malloc, realloc and free. Null: there is no memory.
    static void* allocate(std::size_t size, const Needs& needs) noexcept;
    static void* resize(void* block, std::size_t size, const Needs& needs) noexcept;
    static void release(void* block) noexcept;
    /// As calloc: always malloc's.
    static void* allocate_clear(std::size_t count, std::size_t size) noexcept;
    /// The block is not malloc's.
    static bool is_own(const void* block) noexcept;

 private:
    static void* move(void* block, std::size_t size, const Needs& needs) noexcept;
};

}  // namespace edgeproxy::io
