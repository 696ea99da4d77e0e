// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <new>

#include "tls/io/spare_lists.hpp"

namespace edgeproxy::io {

/// Memory of coroutine frames, and of other small things that are made as often: a thread's lists of spare blocks, by
/// size class. A list is as long as the load asks for; sizes above `largest` always go to the heap. All is in the
/// header because the compiler knows the size of a frame.
class FramePool {
 public:
    static constexpr std::size_t step = 64;
    static constexpr std::size_t largest = 2048;
    static constexpr unsigned most_kept = 16384;  ///< these are of SpareLists
    static constexpr unsigned always_kept = 256;
    static constexpr unsigned most_freed = 1024;

    static void* allocate(std::size_t size) {
        void* const kept = take(size);
        return kept != nullptr ? kept : ::operator new(whole(size));
    }
    /// Null: there is no memory.
    static void* try_allocate(std::size_t size) noexcept {
        void* const kept = take(size);
        return kept != nullptr ? kept : ::operator new(whole(size), std::nothrow);
    }
    /// `size` as it was asked for, or another one of the same class.
    static void release(void* frame, std::size_t size) noexcept {
        if (size > largest) return ::operator delete(frame);
        Lists::give(size_class(size), frame);
    }
    static void settle() noexcept { Lists::settle(); }
    static void trim() noexcept { Lists::trim(); }
    /// Frames that wait in this thread's list for `size`.
    static unsigned waiting(std::size_t size) noexcept {
        return size <= largest ? Lists::waiting(size_class(size)) : 0;
    }

 private:
    struct Kind {
        static constexpr std::size_t lists = largest / step + 1;
        static constexpr unsigned most_kept = FramePool::most_kept;
        static constexpr unsigned always_kept = FramePool::always_kept;
        static constexpr unsigned most_freed = FramePool::most_freed;
        static void destroy(void* frame) noexcept { ::operator delete(frame); }
    };
    using Lists = SpareLists<Kind>;

    static constexpr std::size_t size_class(std::size_t size) { return (size + step - 1) / step; }
    static constexpr std::size_t whole(std::size_t size) { return size > largest ? size : size_class(size) * step; }
    static void* take(std::size_t size) noexcept { return size > largest ? nullptr : Lists::take(size_class(size)); }
};

/// Base of what is made and freed as often as frames are: lies in the same lists. Deleted as what it is, not as a
/// base.
struct Pooled {
    static void* operator new(std::size_t size) { return FramePool::allocate(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { FramePool::release(memory, size); }
};

}  // namespace edgeproxy::io
