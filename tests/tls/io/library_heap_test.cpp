// SPDX-License-Identifier: Apache-2.0
// Large blocks, and the malloc of libraries that is made of them and of the lists of frames.
#include "tls/io/library_heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tls/io/frame_pool.hpp"
#include "tls/io/large_blocks.hpp"

using edgeproxy::io::FramePool;
using edgeproxy::io::LargeBlocks;
using edgeproxy::io::LibraryHeap;

namespace {

constexpr std::size_t page = 4096;
constexpr LibraryHeap::Needs needs{.largest_small = 504, .untouched = true};

/// Of a session's buffer for one frame, as nghttp2 1.52 asks for it.
constexpr std::size_t frame = 16 * 1024 + 10;

/// Pages of a large block that are in memory.
unsigned resident(const void* block) {
    std::array<unsigned char, LargeBlocks::size / page> there{};
    auto* const at = static_cast<char*>(const_cast<void*>(block));
    REQUIRE(::mincore(at - reinterpret_cast<std::uintptr_t>(at) % page, LargeBlocks::size, there.data()) == 0);
    return static_cast<unsigned>(std::count_if(there.begin(), there.end(), [](unsigned char one) { return one & 1u; }));
}

std::vector<void*> many(unsigned count) {
    std::vector<void*> blocks;
    for (unsigned i = 0; i < count; ++i) blocks.push_back(LargeBlocks::allocate());
    return blocks;
}

void release(const std::vector<void*>& blocks) {
    for (void* const block : blocks) LargeBlocks::release(block);
}

std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
}

/// Each test on a thread, whose lists begin empty.
template <class Body>
void on_thread(Body body) {
    std::thread(body).join();
}

}  // namespace

TEST_CASE("a large block that was used last is used next, and a fresh one costs what is written to", "[io][memory]") {
    on_thread([] {
        void* const block = LargeBlocks::allocate();
        std::memset(block, 1, LargeBlocks::size);
        CHECK(resident(block) == 5);
        LargeBlocks::release(block);
        void* const fresh = LargeBlocks::fresh();
        CHECK(fresh != block);
        CHECK(resident(fresh) == 0);
        std::memset(fresh, 1, 1000);
        CHECK(resident(fresh) == 1);
        CHECK(LargeBlocks::allocate() == block);
        release({block, fresh});
    });
}

TEST_CASE("what a thread does not keep loses its memory, and its addresses are used again", "[io][memory]") {
    std::set<void*> seen;
    on_thread([&] {
        const std::vector<void*> blocks = many(LargeBlocks::most_kept + 3);
        for (void* const block : blocks) std::memset(block, 1, LargeBlocks::size);
        seen.insert(blocks.begin(), blocks.end());
        release(blocks);
        CHECK(LargeBlocks::waiting() == LargeBlocks::most_kept);
        CHECK(std::count_if(blocks.begin(), blocks.end(), [](void* block) { return resident(block) > 0; }) ==
              LargeBlocks::most_kept);
        LargeBlocks::settle();
        LargeBlocks::settle();
        CHECK(LargeBlocks::waiting() == LargeBlocks::always_kept);
        LargeBlocks::trim();
        CHECK(LargeBlocks::waiting() == 0);
        CHECK(std::none_of(blocks.begin(), blocks.end(), [](void* block) { return resident(block) > 0; }));
    });
    on_thread([&] {  // another thread takes them
        const std::vector<void*> blocks = many(LargeBlocks::most_kept + 3);
        for (void* const block : blocks) CHECK(seen.contains(block));
        CHECK(std::all_of(blocks.begin(), blocks.end(), [](void* block) { return *static_cast<char*>(block) == 0; }));
        release(blocks);
    });
}

TEST_CASE("large blocks need few mappings, in whatever order they go", "[io][memory]") {
    const std::size_t before = mappings();
    on_thread([] {
        std::vector<void*> blocks = many(4000), odd;
        for (std::size_t i = 1; i < blocks.size(); i += 2) odd.push_back(blocks[i]);
        release(odd);
        LargeBlocks::trim();
        for (std::size_t i = 0; i < blocks.size(); i += 2) LargeBlocks::release(blocks[i]);
    });
    CHECK(mappings() < before + 100);
}

TEST_CASE("large blocks of several threads are never the same", "[io][memory]") {
    std::atomic<bool> wrong = false;
    std::vector<std::thread> threads;
    for (char mark = 1; mark <= 4; ++mark) {
        threads.emplace_back([mark, &wrong] {
            for (int round = 0; round < 20; ++round) {
                const std::vector<void*> blocks = many(300);
                for (void* const block : blocks) std::memset(block, mark, 64);
                for (void* const block : blocks)
                    if (static_cast<char*>(block)[63] != mark) wrong = true;
                release(blocks);
                LargeBlocks::trim();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(wrong);
}

TEST_CASE("small blocks of a library lie in the lists of frames, by size class", "[io][memory]") {
    on_thread([] {
        void* const small = LibraryHeap::allocate(1, needs);
        REQUIRE(LibraryHeap::is_own(small));
        LibraryHeap::release(small);
        CHECK(FramePool::waiting(64) == 1);
        void* const again = LibraryHeap::allocate(56, needs);  // a class is 64, 8 of them are the header's
        CHECK(again == small);
        std::memset(again, 1, 56);
        void* const other = LibraryHeap::allocate(57, needs);
        CHECK(other != small);
        LibraryHeap::release(again);
        LibraryHeap::release(other);
        CHECK(FramePool::waiting(64) == 1);
        CHECK(FramePool::waiting(128) == 1);
    });
}

TEST_CASE("a library's block for a frame is a large one, fresh if little of it is used", "[io][memory]") {
    on_thread([] {
        void* const used = LibraryHeap::allocate(frame, {});
        std::memset(used, 1, frame);
        LibraryHeap::release(used);
        CHECK(LargeBlocks::waiting() == 1);
        void* const fresh = LibraryHeap::resize(nullptr, frame, needs);  // that is how nghttp2 asks for it
        REQUIRE(LibraryHeap::is_own(fresh));
        CHECK(fresh != used);
        CHECK(resident(fresh) == 1);  // its header's
        void* const warm = LibraryHeap::allocate(frame, {});
        CHECK(warm == used);
        LibraryHeap::release(warm);
        LibraryHeap::release(fresh);
    });
}

TEST_CASE("everything else of a library is malloc's", "[io][memory]") {
    for (const std::size_t size :
         {std::size_t{505}, page, LibraryHeap::smallest_large - 1, std::size_t{LargeBlocks::size}}) {
        void* const block = LibraryHeap::allocate(size, needs);
        CHECK_FALSE(LibraryHeap::is_own(block));
        LibraryHeap::release(block);
    }
    LibraryHeap::release(nullptr);
    auto* const clear = static_cast<char*>(LibraryHeap::allocate_clear(100, 1000));
    CHECK(std::string_view(clear, 100'000).find_first_not_of('\0') == std::string_view::npos);
    LibraryHeap::release(clear);
    void* const tiny = LibraryHeap::allocate_clear(1, 1);
    CHECK_FALSE(LibraryHeap::is_own(tiny));
    LibraryHeap::release(tiny);
}

TEST_CASE("a library's block keeps its bytes when its size changes", "[io][memory]") {
    // From each kind to each other, and within each.
    constexpr std::array sizes{
        std::size_t{1}, std::size_t{100}, std::size_t{120}, std::size_t{504}, std::size_t{505}, std::size_t{5000},
        frame,          5 * frame};
    for (const std::size_t from : sizes) {
        for (const std::size_t to : sizes) {
            CAPTURE(from, to);
            auto* block = static_cast<char*>(LibraryHeap::allocate(from, needs));
            std::memset(block, 'a', from);
            block = static_cast<char*>(LibraryHeap::resize(block, to, needs));
            const std::string_view kept(block, std::min(from, to));
            CHECK(kept.find_first_not_of('a') == std::string_view::npos);
            std::memset(block, 'b', to);
            LibraryHeap::release(block);
        }
    }
}

TEST_CASE("a block may be released on another thread, behind its own one's end", "[io][memory]") {
    void* small = nullptr;
    void* large = nullptr;
    on_thread([&] {
        small = LibraryHeap::allocate(100, needs);
        large = LibraryHeap::allocate(frame, needs);
    });
    on_thread([&] {
        LibraryHeap::release(small);
        LibraryHeap::release(large);
        CHECK(FramePool::waiting(108) == 1);
        CHECK(LargeBlocks::waiting() == 1);
    });
}
