// SPDX-License-Identifier: Apache-2.0
#include "tls/io/frame_pool.hpp"

#include <utility>

namespace edgeproxy::io {

/// Begins the lists of its thread, and empties them when the thread ends.
class FramePool::Sweeper {
 public:
    Sweeper() {
        for (List& list : lists_) list.count = 0;
    }
    Sweeper(const Sweeper&) = delete;
    Sweeper& operator=(const Sweeper&) = delete;
    ~Sweeper() {
        for (List& list : lists_) {
            empty(list);
            list = {};  // full: frames that outlive the thread's lists go straight to the heap
        }
        state_ = State::ended;
    }

    /// False if they have begun already, or the thread is about to end.
    static bool begin() {
        if (state_ == State::none) {
            thread_local Sweeper sweeper;
            state_ = State::begun;
            return true;
        }
        return false;
    }
    static bool is_begun() { return state_ == State::begun; }
    static void empty(List& list) {
        while (list.head != nullptr) ::operator delete(std::exchange(list.head, list.head->next));
        list.count = list.least = 0;
    }

 private:
    enum class State { none, begun, ended };
    static constinit thread_local State state_;
};

constinit thread_local FramePool::Sweeper::State FramePool::Sweeper::state_ = State::none;

void FramePool::release_to_full(void* frame, List& list) noexcept {
    if (!Sweeper::begin()) return ::operator delete(frame);
    list.head = ::new (frame) Node{nullptr};
    list.count = 1;
}

void FramePool::settle() noexcept {
    if (!Sweeper::is_begun()) return;
    for (List& list : lists_) {
        const unsigned spare = list.count - std::min(list.count, always_kept);
        for (unsigned left = std::min({list.least, spare, most_freed}); left > 0; --left) {
            ::operator delete(std::exchange(list.head, list.head->next));
            --list.count;
        }
        list.least = list.count;
    }
}

void FramePool::trim() noexcept {
    if (!Sweeper::is_begun()) return;
    for (List& list : lists_) Sweeper::empty(list);
}

unsigned FramePool::waiting(std::size_t size) noexcept {
    return Sweeper::is_begun() && size <= largest ? lists_[size_class(size)].count : 0;
}

}  // namespace edgeproxy::io
