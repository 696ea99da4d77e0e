// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_pages.hpp"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

using edgeproxy::http::Http2Pages;

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
    nghttp2_mem* const memory = Http2Pages::memory();
    return memory->realloc(block, size, nullptr);
}

}  // namespace

TEST_CASE("a frame's block costs the pages that are used", "[http2][memory]") {
    std::vector<void*> used;  // what this thread keeps of other tests
    while (Http2Pages::kept() > 0) used.push_back(Http2Pages::allocate(frame));
    void* const block = resized(nullptr, frame);  // that is how the library asks for it
    REQUIRE(Http2Pages::is_own(block));
    CHECK(resident(block, frame) == 1);  // its header's
    std::memset(block, 1, 1000);
    CHECK(resident(block, frame) == 1);
    std::memset(block, 1, frame);
    CHECK(resident(block, frame) == 5);
    Http2Pages::release(block);
    CHECK(Http2Pages::kept() == 1);
    void* const again = Http2Pages::allocate(frame);
    CHECK(again == block);
    Http2Pages::release(again);
    for (void* const one : used) Http2Pages::release(one);
}

TEST_CASE("what is smaller is the heap's", "[http2][memory]") {
    for (std::size_t size = 1; size < Http2Pages::smallest; size = size * 2 + 1) {
        void* const block = Http2Pages::allocate(size);
        CHECK_FALSE(Http2Pages::is_own(block));
        Http2Pages::release(block);
    }
    Http2Pages::release(nullptr);
    nghttp2_mem* const memory = Http2Pages::memory();
    auto* const clear = static_cast<const char*>(memory->calloc(100, 1000, nullptr));
    CHECK(std::string_view(clear, 100'000).find_first_not_of('\0') == std::string_view::npos);
    memory->free(const_cast<char*>(clear), nullptr);
}

TEST_CASE("a block of pages keeps its bytes when its size changes", "[http2][memory]") {
    auto* block = static_cast<char*>(Http2Pages::allocate(frame));
    std::memset(block, 'a', frame);
    block = static_cast<char*>(resized(block, 5 * frame));
    REQUIRE(Http2Pages::is_own(block));
    CHECK(std::string_view(block, frame).find_first_not_of('a') == std::string_view::npos);
    block = static_cast<char*>(resized(block, 100));
    CHECK_FALSE(Http2Pages::is_own(block));
    CHECK(std::string_view(block, 100).find_first_not_of('a') == std::string_view::npos);
    block = static_cast<char*>(resized(block, 2 * frame));  // grown in the heap
    CHECK(std::string_view(block, 100).find_first_not_of('a') == std::string_view::npos);
    Http2Pages::release(block);
}

TEST_CASE("a thread keeps so many blocks, and none behind its end", "[http2][memory]") {
    void* foreign = nullptr;
    std::thread other([&] {
        std::vector<void*> many;
        for (unsigned i = 0; i < Http2Pages::most_kept + 3; ++i) many.push_back(Http2Pages::allocate(frame));
        for (void* const block : many) Http2Pages::release(block);
        CHECK(Http2Pages::kept() == Http2Pages::most_kept);
        foreign = Http2Pages::allocate(frame);
    });
    other.join();
    const unsigned before = Http2Pages::kept();
    Http2Pages::release(foreign);
    CHECK(Http2Pages::kept() == before + 1);
}
