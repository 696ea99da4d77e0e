// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <new>

namespace edgeproxy::io {

/// Memory of coroutine frames: free lists of a thread, by size class, so that a steady state calls malloc no more.
///
/// A frame must be freed on the thread that made it (a coroutine never leaves its reactor). What nobody needed between
/// two `settle`s goes back to malloc, so a list is as long as the load asks for; sizes above `largest` always go there.
/// The lists are thread-local because a promise's operator new has nobody to ask, and all is in the header because the
/// compiler knows the size of a frame.
class FramePool {
 public:
    static constexpr std::size_t step = 64;
    static constexpr std::size_t largest = 2048;
    static constexpr unsigned most_kept = 16384;  ///< in one list
    static constexpr unsigned always_kept = 256;  ///< in one list, however quiet it is
    static constexpr unsigned most_freed = 1024;  ///< of one list by one `settle`, so that nobody waits for it

    static void* allocate(std::size_t size);
    static void release(void* frame, std::size_t size) noexcept;
    /// A while is over on this thread: as many as lay in a list all the while go back, as far as the bounds let them.
    static void settle() noexcept;
    /// Gives everything in this thread's lists back to the heap: memory is short.
    static void trim() noexcept;
    /// Frames that wait in this thread's list for `size`.
    static unsigned waiting(std::size_t size) noexcept;

 private:
    struct Node {
        Node* next;
    };
    struct List {
        Node* head = nullptr;
        unsigned count = most_kept;  ///< full until the thread first frees a frame, which begins its lists
        unsigned least = 0;          ///< that it held since the last `settle`: so many were needed by nobody
    };
    using Lists = std::array<List, largest / step + 1>;
    class Sweeper;

    static constexpr std::size_t size_class(std::size_t size) { return (size + step - 1) / step; }
    static void release_to_full(void* frame, List& list) noexcept;

    // Without a constructor and a destructor, so that looking at it needs no check whether it is initialised.
    static constinit thread_local Lists lists_;
};

inline constinit thread_local FramePool::Lists FramePool::lists_{};

inline void* FramePool::allocate(std::size_t size) {
    if (size > largest) return ::operator new(size);
    const std::size_t at = size_class(size);
    List& list = lists_[at];
    if (Node* node = list.head; node != nullptr) {
        list.head = node->next;
        list.least = std::min(list.least, --list.count);
        return node;
    }
    return ::operator new(at* step);
}

inline void FramePool::release(void* frame, std::size_t size) noexcept {
    if (size > largest) return ::operator delete(frame);
    List& list = lists_[size_class(size)];
    if (list.count >= most_kept) return release_to_full(frame, list);
    list.head = ::new (frame) Node{list.head};
    ++list.count;
}

/// Base of what is made and freed as often as frames are: lies in the same lists. Deleted as what it is, not as a
/// base.
struct Pooled {
    static void* operator new(std::size_t size) { return FramePool::allocate(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { FramePool::release(memory, size); }
};

}  // namespace edgeproxy::io
