// SPDX-License-Identifier: Apache-2.0
#include "tls/io/library_heap.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "tls/io/frame_pool.hpp"
#include "tls/io/large_blocks.hpp"

namespace edgeproxy::io {
namespace {

/// In front of each block of ours. What malloc gives is aligned to 16, what lies behind this to 8 only: that is how
/// they are told apart.
struct Header {
    std::size_t size;  ///< with this
};
static_assert(sizeof(Header) == 8);

constexpr std::size_t largest_large = LargeBlocks::size - sizeof(Header);

Header& header_of(void* block) {
    return static_cast<Header*>(block)[-1];
}

void* begin(void* at, std::size_t size) {
    return at != nullptr ? ::new (at) Header{size} + 1 : nullptr;
}

/// malloc aligns what is larger than 8 bytes to 16, whichever malloc it is.
constexpr std::size_t aligned(std::size_t size) {
    return std::max(size, std::size_t{16});
}

bool is_ours(const void* block) {
    return reinterpret_cast<std::uintptr_t>(block) % 16 == sizeof(Header);
}

}  // namespace

bool LibraryHeap::is_own(const void* block) noexcept {
    return is_ours(block);
}

void* LibraryHeap::allocate(std::size_t size, const Needs& needs) noexcept {
    if (size <= needs.largest_small) {
        const std::size_t whole = size + sizeof(Header);
        return begin(FramePool::try_allocate(whole), whole);
    }
    if (size < smallest_large || size > largest_large) return std::malloc(aligned(size));
    return begin(needs.untouched ? LargeBlocks::fresh() : LargeBlocks::allocate(), LargeBlocks::size);
}

void* LibraryHeap::allocate_clear(std::size_t count, std::size_t size) noexcept {
    const bool tiny = count < 16 && size < 16 && count * size < 16;
    return tiny ? std::calloc(1, aligned(count * size)) : std::calloc(count, size);
}

void LibraryHeap::release(void* block) noexcept {
    if (!is_ours(block)) return std::free(block);
    Header& header = header_of(block);
    if (header.size == LargeBlocks::size) return LargeBlocks::release(&header);
    FramePool::release(&header, header.size);
}

void* LibraryHeap::resize(void* block, std::size_t size, const Needs& needs) noexcept {
    if (block == nullptr) return allocate(size, needs);
    return is_ours(block) ? move(block, size, needs) : std::realloc(block, aligned(size));
}

/// `block`: one of ours.
[[gnu::noinline]] void* LibraryHeap::move(void* block, std::size_t size, const Needs& needs) noexcept {
    void* const other = allocate(size, needs);
    if (other == nullptr) return nullptr;
    std::memcpy(other, block, std::min(size, header_of(block).size - sizeof(Header)));
    release(block);
    return other;
}

}  // namespace edgeproxy::io
