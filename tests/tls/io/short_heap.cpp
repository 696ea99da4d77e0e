// SPDX-License-Identifier: Apache-2.0
#include "tests/tls/io/short_heap.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<bool> is_short{false};
}

void* operator new(std::size_t size) {
    if (!is_short.load(std::memory_order_relaxed)) {
        if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
    }
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

edgeproxy::io::test::NoMemory::NoMemory() {
    is_short.store(true, std::memory_order_relaxed);
}
edgeproxy::io::test::NoMemory::~NoMemory() {
    is_short.store(false, std::memory_order_relaxed);
}
