// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <utility>

namespace edgeproxy::io {

/// What a thread keeps of blocks that it has no use for just now: lists of equal blocks, the last one given first, so
/// that a steady state asks the heap no more.
///
/// `Kind` tells how many `lists` there are, the bounds `most_kept`, `always_kept` and `most_freed` of one list (below),
/// and how to `destroy` a block. A thread's lists begin with the first block that it gives and end with the thread;
/// before and after that a block that is given is destroyed. A block may be given on another thread than it came from.
/// The lists are thread-local because who asks (a promise's operator new, a library's malloc) knows no reactor.
template <class Kind>
class SpareLists {
 public:
    /// Null: the list is empty.
    static void* take(std::size_t at) noexcept {
        List& list = lists_[at];
        Node* const node = list.head;
        if (node == nullptr) return nullptr;
        list.head = node->next;
        list.least = std::min(list.least, --list.count);
        return node;
    }
    /// Keeps the block, unless there are `most_kept`. Its first bytes are overwritten.
    static void give(std::size_t at, void* block) noexcept {
        List& list = lists_[at];
        if (list.count >= Kind::most_kept) return give_to_full(list, block);
        list.head = ::new (block) Node{list.head};
        ++list.count;
    }
    /// A while is over on this thread: as many as lay in a list all the while are destroyed, but `most_freed` at a
    /// time, so that nobody waits for it, and not the last `always_kept`.
    static void settle() noexcept {
        if (!begun()) return;
        for (List& list : lists_) {
            const unsigned spare = list.count - std::min(list.count, Kind::always_kept);
            for (unsigned left = std::min({list.least, spare, Kind::most_freed}); left > 0; --left) drop(list);
            list.least = list.count;
        }
    }
    /// Destroys all that this thread keeps: memory is short.
    static void trim() noexcept {
        if (!begun()) return;
        for (List& list : lists_) empty(list);
    }
    /// Blocks in this thread's list.
    static unsigned waiting(std::size_t at) noexcept { return begun() ? lists_[at].count : 0; }

 private:
    struct Node {
        Node* next;
    };
    struct List {
        Node* head = nullptr;
        unsigned count = Kind::most_kept;  // full until the thread's lists have begun
        unsigned least = 0;                // that it held since the last `settle`: so many were needed by nobody
    };
    enum class State { none, begun, ended };
    /// Ends the lists with the thread.
    struct Sweeper {
        Sweeper() = default;
        Sweeper(const Sweeper&) = delete;
        Sweeper& operator=(const Sweeper&) = delete;
        ~Sweeper() {
            for (List& list : lists_) {
                empty(list);
                list = {};
            }
            state_ = State::ended;
        }
    };

    static bool begun() { return state_ == State::begun; }
    static void drop(List& list) {
        Kind::destroy(std::exchange(list.head, list.head->next));
        --list.count;
    }
    static void empty(List& list) {
        while (list.head != nullptr) drop(list);
        list.count = list.least = 0;
    }
    [[gnu::noinline]] static void give_to_full(List& list, void* block) noexcept {
        if (state_ != State::none) return Kind::destroy(block);
        thread_local const Sweeper sweeper;
        state_ = State::begun;
        for (List& other : lists_) other.count = 0;
        list.head = ::new (block) Node{nullptr};
        list.count = 1;
    }

    // Without a constructor and a destructor, so that looking at them needs no check whether they are initialised.
    static inline constinit thread_local std::array<List, Kind::lists> lists_{};
    static inline constinit thread_local State state_ = State::none;
};

}  // namespace edgeproxy::io
