// SPDX-License-Identifier: Apache-2.0
#include "tls/io/large_blocks.hpp"

#include <sys/mman.h>

#include <mutex>
#include <new>
#include <vector>

namespace edgeproxy::io {
namespace {

constexpr std::size_t together = 64;  // blocks that are mapped at a time

/// Addresses without memory. Mappings lie beside each other and have no holes, so the kernel makes one of many: a
/// process may have only so many.
class Addresses {
 public:
    /// Null: there is no memory.
    void* take() noexcept {
        const std::lock_guard lock(mutex_);
        if (free_.empty() && !map()) return nullptr;
        void* const block = free_.back();
        free_.pop_back();
        return block;
    }
    void give(void* block) noexcept {
        ::madvise(block, LargeBlocks::size, MADV_DONTNEED);
        const std::lock_guard lock(mutex_);
        free_.push_back(block);  // there is room: `map` has seen to it
    }

 private:
    bool map() noexcept {
        try {
            free_.reserve(made_ + together);
        } catch (const std::bad_alloc&) {
            return false;
        }
        void* const at =
            ::mmap(nullptr, together * LargeBlocks::size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return false;
        made_ += together;
        for (std::size_t i = together; i > 0; --i)
            free_.push_back(static_cast<char*>(at) + (i - 1) * LargeBlocks::size);
        return true;
    }

    std::mutex mutex_;
    std::vector<void*> free_;
    std::size_t made_ = 0;
};

/// Never destroyed: blocks come back until the last thread has ended.
Addresses& addresses() {
    static auto* const all = new Addresses;
    return *all;
}

}  // namespace

void* LargeBlocks::fresh() noexcept {
    return addresses().take();
}

void LargeBlocks::Kind::destroy(void* block) noexcept {
    addresses().give(block);
}

}  // namespace edgeproxy::io
