// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

using edgeproxy::http::Http2Heap;

namespace {

/// Of the session's buffer for one frame, as nghttp2 1.52 asks for it.
constexpr std::size_t frame = 16 * 1024 + 10;

/// Pages of `block` that are in memory.
unsigned resident(const void* block, std::size_t size) {
    constexpr std::size_t page = 4096;
    const auto begin = reinterpret_cast<std::uintptr_t>(block) / page * page;
    std::vector<unsigned char> there((size + page - 1) / page);
    REQUIRE(::mincore(reinterpret_cast<void*>(begin), size, there.data()) == 0);
    unsigned count = 0;
    for (const unsigned char one : there) count += one & 1u;
    return count;
}

void* resized(void* block, std::size_t size) {
    nghttp2_mem* const memory = Http2Heap::memory();
    return memory->realloc(block, size, nullptr);
}

}  // namespace

TEST_CASE("a frame's block costs the pages that are used", "[http2][memory]") {
    std::vector<void*> used;  // what this thread keeps of other tests
    while (Http2Heap::kept(frame) > 0) used.push_back(Http2Heap::allocate(frame));
    void* const block = resized(nullptr, frame);  // that is how the library asks for it
    REQUIRE(Http2Heap::is_own(block));
    CHECK(resident(block, frame) == 1);  // its header's
    std::memset(block, 1, 1000);
    CHECK(resident(block, frame) == 1);
    std::memset(block, 1, frame);
    CHECK(resident(block, frame) == 5);
    Http2Heap::release(block);
    CHECK(Http2Heap::kept(frame) == 1);
    void* const again = Http2Heap::allocate(frame);
    CHECK(again == block);
    Http2Heap::release(again);
    for (void* const one : used) Http2Heap::release(one);
}

TEST_CASE("small blocks are used again, by size class", "[http2][memory]") {
    void* const small = Http2Heap::allocate(1);
    REQUIRE(Http2Heap::is_own(small));
    const unsigned before = Http2Heap::kept(1);
    Http2Heap::release(small);
    CHECK(Http2Heap::kept(1) == before + 1);
    CHECK(Http2Heap::kept(56) == before + 1);  // a class is 64, 8 of them are ours
    void* const again = Http2Heap::allocate(56);
    CHECK(again == small);
    std::memset(again, 1, 56);
    void* const other = Http2Heap::allocate(57);
    CHECK(other != small);
    Http2Heap::release(again);
    Http2Heap::release(other);
}

TEST_CASE("what is neither small nor a frame is malloc's", "[http2][memory]") {
    for (const std::size_t size : {Http2Heap::largest_small + 1, std::size_t{4096}, Http2Heap::smallest_large - 1}) {
        void* const block = Http2Heap::allocate(size);
        CHECK_FALSE(Http2Heap::is_own(block));
        Http2Heap::release(block);
    }
    Http2Heap::release(nullptr);
    nghttp2_mem* const memory = Http2Heap::memory();
    auto* const clear = static_cast<const char*>(memory->calloc(100, 1000, nullptr));
    CHECK(std::string_view(clear, 100'000).find_first_not_of('\0') == std::string_view::npos);
    memory->free(const_cast<char*>(clear), nullptr);
}

TEST_CASE("a block keeps its bytes when its size changes", "[http2][memory]") {
    // From each kind to each other, and within each.
    constexpr std::array sizes{
        std::size_t{1}, std::size_t{100}, std::size_t{120}, std::size_t{504}, std::size_t{505}, std::size_t{5000},
        frame,          5 * frame};
    for (const std::size_t from : sizes) {
        for (const std::size_t to : sizes) {
            CAPTURE(from, to);
            auto* block = static_cast<char*>(Http2Heap::allocate(from));
            std::memset(block, 'a', from);
            block = static_cast<char*>(resized(block, to));
            const std::string_view kept(block, std::min(from, to));
            CHECK(kept.find_first_not_of('a') == std::string_view::npos);
            std::memset(block, 'b', to);
            Http2Heap::release(block);
        }
    }
}

TEST_CASE("a thread keeps so many blocks, and none behind its end", "[http2][memory]") {
    void* foreign = nullptr;
    std::thread other([&] {
        std::vector<void*> many;
        for (unsigned i = 0; i < Http2Heap::most_large + 3; ++i) many.push_back(Http2Heap::allocate(frame));
        for (void* const block : many) Http2Heap::release(block);
        CHECK(Http2Heap::kept(frame) == Http2Heap::most_large);
        many.clear();
        for (unsigned i = 0; i < Http2Heap::most_small + 3; ++i) many.push_back(Http2Heap::allocate(100));
        for (void* const block : many) Http2Heap::release(block);
        CHECK(Http2Heap::kept(100) == Http2Heap::most_small);
        foreign = Http2Heap::allocate(frame);
    });
    other.join();
    const unsigned before = Http2Heap::kept(frame);
    Http2Heap::release(foreign);
    CHECK(Http2Heap::kept(frame) == before + 1);
}
