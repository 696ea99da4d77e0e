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

/// What a thread keeps. Full once the thread has ended: what is freed behind that goes to the heap.
struct Kept {
    Node* first = nullptr;
    unsigned count = 0;

    ~Kept() {
        while (first != nullptr) free_own(std::exchange(first, first->next));
        count = RecordBuffers::most_kept;
    }
};

thread_local Kept kept_;

void* take(std::size_t size, const char*, int) {
    return RecordBuffers::allocate(size);
}

void* resize(void* block, std::size_t size, const char*, int) {
    if (block == nullptr) return RecordBuffers::allocate(size);
    if (!is_own(block)) return std::realloc(block, size);
    void* const other = RecordBuffers::allocate(size);
    if (size > 0 && other == nullptr) return nullptr;
    if (size > 0) std::memcpy(other, block, std::min(size, RecordBuffers::largest));
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
    if (size < smallest || size > largest) return size > 0 ? std::malloc(size) : nullptr;
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
    if (kept_.count >= most_kept) return free_own(block);
    kept_.first = ::new (block) Node{kept_.first};
    ++kept_.count;
}

unsigned RecordBuffers::kept() noexcept {
    return kept_.count;
}

}  // namespace edgeproxy::tls
