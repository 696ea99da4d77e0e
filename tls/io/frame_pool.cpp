// SPDX-License-Identifier: Apache-2.0
#include "tls/io/frame_pool.hpp"

#include <array>
#include <new>

namespace edgeproxy::io {
namespace {

struct Node {
    Node* next;
};

struct Lists {
    std::array<Node*, FramePool::largest / FramePool::step + 1> head;
    std::array<unsigned, FramePool::largest / FramePool::step + 1> count;
    bool swept_at_end;  ///< the thread has its Sweeper
};

// Without a constructor and a destructor, so that looking at it needs no check whether it is initialised.
constinit thread_local Lists lists{};

/// Empties the lists when the thread ends; made when the thread first frees a frame.
struct Sweeper {
    Sweeper() = default;
    Sweeper(const Sweeper&) = delete;
    Sweeper& operator=(const Sweeper&) = delete;
    ~Sweeper() {
        for (Node* node : lists.head) {
            while (node != nullptr) {
                Node* next = node->next;
                ::operator delete(node);
                node = next;
            }
        }
        lists.head.fill(nullptr);
        lists.count.fill(FramePool::kept_per_class);  // frames that outlive the thread's lists go straight to the heap
    }
    void begin() { lists.swept_at_end = true; }
};

thread_local Sweeper sweeper;

std::size_t size_class(std::size_t size) {
    return (size + FramePool::step - 1) / FramePool::step;
}

}  // namespace

void* FramePool::allocate(std::size_t size) {
    if (size > largest) return ::operator new(size);
    const std::size_t at = size_class(size);
    if (Node* node = lists.head[at]; node != nullptr) {
        lists.head[at] = node->next;
        --lists.count[at];
        return node;
    }
    return ::operator new(at* step);
}

void FramePool::release(void* frame, std::size_t size) noexcept {
    const std::size_t at = size_class(size);
    if (size > largest || lists.count[at] >= kept_per_class) {
        ::operator delete(frame);
        return;
    }
    if (!lists.swept_at_end) sweeper.begin();
    Node* node = ::new (frame) Node{lists.head[at]};
    lists.head[at] = node;
    ++lists.count[at];
}

}  // namespace edgeproxy::io
