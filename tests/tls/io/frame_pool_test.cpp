// SPDX-License-Identifier: Apache-2.0
// What the lists of frames keep.
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include <vector>

#include "tls/io/frame_pool.hpp"

using edgeproxy::io::FramePool;

namespace {

constexpr std::size_t size = 300;

std::vector<void*> take(int count) {
    std::vector<void*> out;
    for (int i = 0; i < count; ++i) out.push_back(FramePool::allocate(size));
    return out;
}

void give(const std::vector<void*>& frames) {
    for (void* frame : frames) FramePool::release(frame, size);
}

/// Each test on a thread, whose lists begin empty.
template <class Body>
void on_thread(Body body) {
    std::thread(body).join();
}

}  // namespace

TEST_CASE("a steady load of any size allocates no frame", "[io][frames]") {
    std::set<void*> seen;
    on_thread([&] {
        for (int round = 0; round < 5; ++round) {
            const std::vector<void*> frames = take(5000);
            seen.insert(frames.begin(), frames.end());
            give(frames);
            FramePool::settle();
        }
    });
    CHECK(seen.size() == 5000);
}

TEST_CASE("what nobody needed for a while goes back to the heap, but for a few", "[io][frames]") {
    on_thread([] {
        give(take(5000));
        CHECK(FramePool::waiting(size) == 5000);
        FramePool::settle();  // ends the while in which all were used
        CHECK(FramePool::waiting(size) == 5000);
        give(take(4500));
        FramePool::settle();
        CHECK(FramePool::waiting(size) == 4500);
        give(take(2000));
        FramePool::settle();
        CHECK(FramePool::waiting(size) == 4500 - FramePool::most_freed);
        for (int quiet = 0; quiet < 4; ++quiet) FramePool::settle();
        CHECK(FramePool::waiting(size) == FramePool::always_kept);
    });
}

TEST_CASE("when memory is short no frame waits", "[io][frames]") {
    on_thread([] {
        give(take(1000));
        FramePool::trim();
        CHECK(FramePool::waiting(size) == 0);
        give(take(10));
        CHECK(FramePool::waiting(size) == 10);
    });
}

TEST_CASE("frames of one class share a list, larger ones none", "[io][frames]") {
    on_thread([] {
        void* frame = FramePool::allocate(257);
        FramePool::release(frame, 257);
        CHECK(FramePool::allocate(320) == frame);
        FramePool::release(frame, 320);
        void* large = FramePool::allocate(FramePool::largest + 1);
        FramePool::release(large, FramePool::largest + 1);
        CHECK(FramePool::waiting(FramePool::largest + 1) == 0);
    });
}
