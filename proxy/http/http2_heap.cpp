// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace edgeproxy::http {
namespace {

constexpr std::size_t page = 4096;

/// In front of each block of ours. What malloc gives is aligned to 16, what lies behind this to 8 only: that is how
/// they are told apart.
struct Header {
    std::uint32_t size;  ///< of all of it, this included
    bool mapped;         ///< it is a mapping, else malloc's
};
static_assert(sizeof(Header) == 8);

/// What waits in a list, behind its header.
struct Node {
    Node* next;
};

Header& header_of(void* block) {
    return static_cast<Header*>(block)[-1];
}

constexpr std::size_t rounded(std::size_t size, std::size_t to) {
    return (size + sizeof(Header) + to - 1) / to * to;
}

/// Of the block that each session has: a frame, its header, and some bytes of padding.
constexpr std::size_t usual_large = rounded(Http2Heap::smallest_large + 64, page);
constexpr std::size_t small_classes = rounded(Http2Heap::largest_small, Http2Heap::step) / Http2Heap::step;

/// Null: there is no memory. A process may have only so many mappings; behind that a large block is malloc's.
void* make(std::size_t size) {
    void* at = MAP_FAILED;
    if (size >= Http2Heap::smallest_large)
        at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool mapped = at != MAP_FAILED;
    if (!mapped) at = std::malloc(size);
    return at != nullptr ? ::new (at) Header{static_cast<std::uint32_t>(size), mapped} + 1 : nullptr;
}

void destroy(void* block) {
    Header& header = header_of(block);
    if (!header.mapped) return std::free(&header);
    const std::size_t size = header.size;
    // To take one out of the middle of many is one mapping more. Then at least its memory goes.
    if (::munmap(&header, size) != 0) ::madvise(&header, size, MADV_DONTNEED);
}

/// Blocks of one size that a thread keeps. Full before the first block and behind the thread's end: what is freed then
/// goes back at once.
struct List {
    Node* first = nullptr;
    unsigned count = ~0U;
};

/// Without a destructor, so that they are there all the time.
struct Lists {
    std::array<List, small_classes + 1> small{};
    List large{};

    List* of(std::size_t size) {
        if (size < Http2Heap::smallest_large) return &small[size / Http2Heap::step];
        return size == usual_large ? &large : nullptr;
    }
    template <class Do>
    void each(Do change) {
        for (List& list : small) change(list);
        change(large);
    }
};
constinit thread_local Lists lists_{};

void empty(List& list) {
    while (list.first != nullptr) destroy(std::exchange(list.first, list.first->next));
    list.count = 0;
}

/// Begins the lists of its thread, and ends them with the thread.
struct Sweeper {
    Sweeper() {
        lists_.each([](List& list) { list.count = 0; });
    }
    Sweeper(const Sweeper&) = delete;
    Sweeper& operator=(const Sweeper&) = delete;
    ~Sweeper() {
        lists_.each([](List& list) {
            empty(list);
            list.count = ~0U;
        });
    }
};
constinit thread_local bool begun_ = false;

/// A list is full. True: the lists have just begun.
bool begin() {
    if (std::exchange(begun_, true)) return false;
    thread_local const Sweeper sweeper;
    return true;
}

/// All of a block for so many bytes; 0 = it is malloc's.
constexpr std::size_t whole_size(std::size_t size) {
    if (size <= Http2Heap::largest_small) return rounded(size, Http2Heap::step);
    const bool fits = size >= Http2Heap::smallest_large && size < (1U << 31);
    return fits ? rounded(size, page) : 0;
}

/// malloc aligns what is larger than 8 bytes to 16, whichever malloc it is.
constexpr std::size_t aligned(std::size_t size) {
    return std::max(size, std::size_t{16});
}

void* take(std::size_t size, void*) {
    return Http2Heap::allocate(size);
}

void give(void* block, void*) {
    Http2Heap::release(block);
}

void* take_clear(std::size_t count, std::size_t size, void*) {
    const bool tiny = count < 16 && size < 16 && count * size < 16;
    return tiny ? std::calloc(1, aligned(count * size)) : std::calloc(count, size);
}

void* take_resized(void* block, std::size_t size, void*) {
    return Http2Heap::resize(block, size);
}

}  // namespace

nghttp2_mem* Http2Heap::memory() {
    static nghttp2_mem memory{nullptr, take, give, take_clear, take_resized};
    return &memory;
}

bool Http2Heap::is_own(const void* block) {
    return reinterpret_cast<std::uintptr_t>(block) % 16 == sizeof(Header);
}

void* Http2Heap::allocate(std::size_t size) noexcept {
    const std::size_t whole = whole_size(size);
    if (whole == 0) return std::malloc(size);
    if (List* const list = lists_.of(whole); list != nullptr && list->first != nullptr) {
        --list->count;
        return std::exchange(list->first, list->first->next);
    }
    return make(whole);
}

void* Http2Heap::resize(void* block, std::size_t size) noexcept {
    if (block == nullptr) return allocate(size);
    if (!is_own(block)) return std::realloc(block, aligned(size));
    const std::size_t room = header_of(block).size - sizeof(Header);
    if (size <= room && header_of(block).size == whole_size(size)) return block;
    void* const other = allocate(size);
    if (other == nullptr) return nullptr;
    std::memcpy(other, block, std::min(size, room));
    release(block);
    return other;
}

void Http2Heap::release(void* block) noexcept {
    if (!is_own(block)) return std::free(block);
    const std::size_t whole = header_of(block).size;
    List* const list = lists_.of(whole);
    const unsigned most = whole < smallest_large ? most_small : most_large;
    if (list == nullptr || (list->count >= most && !begin())) return destroy(block);
    list->first = ::new (block) Node{list->first};
    ++list->count;
}

unsigned Http2Heap::kept(std::size_t size) noexcept {
    const List* const list = lists_.of(whole_size(size));
    return list != nullptr && list->first != nullptr ? list->count : 0;
}

void Http2Heap::trim() noexcept {
    if (begun_) lists_.each(empty);
}

}  // namespace edgeproxy::http
