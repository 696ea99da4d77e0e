// SPDX-License-Identifier: Apache-2.0
#include "tls/record_buffers.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace edgeproxy::tls {
namespace {

/// In front of each block of ours, which begins aligned to 8 only: what malloc gives is aligned to 16, so that is how
/// they are told apart. Nothing as large as a record asks for more.
constexpr std::size_t offset = 8;

/// What waits in the list.
struct Node {
    Node* next;
};

bool is_own(const void* block) {
    return reinterpret_cast<std::uintptr_t>(block) % 16 == offset;
}

void free_own(void* block) {
    std::free(static_cast<char*>(block) - offset);
}

/// What a thread keeps. Full before its first block and behind the thread's end: what is freed then goes to the heap.
/// Without a destructor, so that it is there all the time.
struct Kept {
    Node* first = nullptr;
    unsigned count = RecordBuffers::most_kept;
};
constinit thread_local Kept kept_{};

void empty() {
    while (kept_.first != nullptr) free_own(std::exchange(kept_.first, kept_.first->next));
    kept_.count = 0;
}

/// Begins the list of its thread, and ends it with the thread.
struct Sweeper {
    Sweeper() { kept_.count = 0; }
    Sweeper(const Sweeper&) = delete;
    Sweeper& operator=(const Sweeper&) = delete;
    ~Sweeper() {
        empty();
        kept_.count = RecordBuffers::most_kept;
    }
};
constinit thread_local bool begun_ = false;

/// The list is full. True: it has just begun.
bool begin() {
    if (std::exchange(begun_, true)) return false;
    thread_local const Sweeper sweeper;
    return true;
}

/// malloc aligns what is larger than 8 bytes to 16, whichever malloc it is.
constexpr std::size_t aligned(std::size_t size) {
    return std::max(size, std::size_t{16});
}

void* take(std::size_t size, const char*, int) {
    return RecordBuffers::allocate(size);
}

void* resize(void* block, std::size_t size, const char*, int) {
    if (block == nullptr) return RecordBuffers::allocate(size);
    if (size == 0) {
        RecordBuffers::release(block);
        return nullptr;
    }
    if (!is_own(block)) return std::realloc(block, aligned(size));
    void* const other = RecordBuffers::allocate(size);
    if (other == nullptr) return nullptr;
    std::memcpy(other, block, std::min(size, RecordBuffers::largest));
    RecordBuffers::release(block);
    return other;
}

void give(void* block, const char*, int) {
    RecordBuffers::release(block);
}

}  // namespace

bool RecordBuffers::install() {
    return CRYPTO_set_mem_functions(take, resize, give) == 1;
}

void* RecordBuffers::allocate(std::size_t size) noexcept {
    if (size < smallest || size > largest) return size > 0 ? std::malloc(aligned(size)) : nullptr;
    if (Node* const node = kept_.first; node != nullptr) {
        kept_.first = node->next;
        --kept_.count;
        return node;
    }
    auto* const made = static_cast<char*>(std::malloc(offset + largest));
    return made != nullptr ? made + offset : nullptr;
}

void RecordBuffers::release(void* block) noexcept {
    if (!is_own(block)) return std::free(block);
    if (kept_.count >= most_kept && !begin()) return free_own(block);
    kept_.first = ::new (block) Node{kept_.first};
    ++kept_.count;
}

void RecordBuffers::trim() noexcept {
    if (kept_.first != nullptr) empty();
}

unsigned RecordBuffers::kept() noexcept {
    return kept_.first != nullptr ? kept_.count : 0;
}

}  // namespace edgeproxy::tls
