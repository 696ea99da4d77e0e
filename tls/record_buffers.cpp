// SPDX-License-Identifier: Apache-2.0
#include "tls/record_buffers.hpp"

#include <malloc.h>
#include <openssl/crypto.h>

#include <cstdlib>
#include <new>
#include <utility>

namespace edgeproxy::tls {
namespace {

struct Node {
    Node* next;
};

/// What a thread keeps. Full once the thread has ended: what is freed behind that goes to the heap.
struct Kept {
    Node* first = nullptr;
    unsigned count = 0;

    ~Kept() {
        while (first != nullptr) std::free(std::exchange(first, first->next));
        count = RecordBuffers::most_kept;
    }
};

thread_local Kept kept_;

void* take(std::size_t size, const char*, int) {
    return RecordBuffers::allocate(size);
}

void* resize(void* block, std::size_t size, const char*, int) {
    return std::realloc(block, size);
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
    return std::malloc(largest);
}

// The heap knows how large a block is. One of any other origin that is as large as ours serves as well.
void RecordBuffers::release(void* block) noexcept {
    if (block == nullptr) return;
    const std::size_t size = ::malloc_usable_size(block);
    if (size < largest || size >= largest + 64 || kept_.count >= most_kept) return std::free(block);
    kept_.first = ::new (block) Node{kept_.first};
    ++kept_.count;
}

unsigned RecordBuffers::kept() noexcept {
    return kept_.count;
}

}  // namespace edgeproxy::tls
