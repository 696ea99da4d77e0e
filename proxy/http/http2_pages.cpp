// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_pages.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace edgeproxy::http {
namespace {

constexpr std::size_t page = 4096;

/// At the beginning of a block's first page. What malloc gives is aligned to 16, what lies behind this to 8 only: that
/// is how they are told apart.
struct Header {
    std::size_t size;  ///< of the mapping
};
static_assert(sizeof(Header) == 8);

/// Where a kept block is linked: behind its header.
struct Node {
    Node* next;
};

Header& header_of(void* block) {
    return static_cast<Header*>(block)[-1];
}

void unmap(void* block) {
    Header& header = header_of(block);
    ::munmap(&header, header.size);
}

/// What a thread keeps: blocks of the least size. Full once the thread has ended.
struct Kept {
    Node* first = nullptr;
    unsigned count = 0;

    ~Kept() {
        while (first != nullptr) unmap(std::exchange(first, first->next));
        count = Http2Pages::most_kept;
    }
};

thread_local Kept kept_;

constexpr std::size_t mapping_for(std::size_t size) {
    return (size + sizeof(Header) + page - 1) / page * page;
}

/// Of the block that each session has: a frame, its header, and some bytes of padding.
constexpr std::size_t usual = mapping_for(Http2Pages::smallest + 64);

void* take(std::size_t size, void*) {
    return Http2Pages::allocate(size);
}

void give(void* block, void*) {
    Http2Pages::release(block);
}

void* take_clear(std::size_t count, std::size_t size, void*) {
    return std::calloc(count, size);
}

void* resize(void* block, std::size_t size, void*) {
    if (block == nullptr) return Http2Pages::allocate(size);
    if (!Http2Pages::is_own(block)) return std::realloc(block, size);
    void* const larger = Http2Pages::allocate(size);
    if (larger == nullptr) return nullptr;
    std::memcpy(larger, block, std::min(size, header_of(block).size - sizeof(Header)));
    Http2Pages::release(block);
    return larger;
}

}  // namespace

nghttp2_mem* Http2Pages::memory() {
    static nghttp2_mem memory{nullptr, take, give, take_clear, resize};
    return &memory;
}

bool Http2Pages::is_own(const void* block) {
    return reinterpret_cast<std::uintptr_t>(block) % 16 == sizeof(Header);
}

void* Http2Pages::allocate(std::size_t size) noexcept {
    if (size < smallest) return std::malloc(size);
    const std::size_t mapping = mapping_for(size);
    if (mapping == usual && kept_.first != nullptr) {
        --kept_.count;
        return std::exchange(kept_.first, kept_.first->next);
    }
    void* const pages = ::mmap(nullptr, mapping, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
    return ::new (pages) Header{mapping} + 1;
}

void Http2Pages::release(void* block) noexcept {
    if (!is_own(block)) return std::free(block);
    if (header_of(block).size != usual || kept_.count >= most_kept) return unmap(block);
    kept_.first = ::new (block) Node{kept_.first};
    ++kept_.count;
}

unsigned Http2Pages::kept() noexcept {
    return kept_.count;
}

}  // namespace edgeproxy::http
