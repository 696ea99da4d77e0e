// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace edgeproxy::io {

/// Memory of coroutine frames: free lists of a thread, by size class, so that a steady state calls malloc no more.
///
/// A frame must be freed on the thread that made it (a coroutine never leaves its reactor). At most `kept_per_class`
/// frames wait in a list; sizes above `largest` go to malloc. The lists are thread-local because a promise's operator
/// new has nobody to ask.
struct FramePool {
    static constexpr std::size_t step = 64;
    static constexpr std::size_t largest = 2048;
    static constexpr unsigned kept_per_class = 256;

    static void* allocate(std::size_t size);
    static void release(void* frame, std::size_t size) noexcept;
};

}  // namespace edgeproxy::io
