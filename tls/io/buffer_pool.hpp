// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tls/io/high_water.hpp"

namespace edgeproxy::io {

class BufferPool;

/// A block of bytes on loan from a BufferPool; goes back at the end of its life. May be empty.
class Buffer {
 public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        if (this != &other) {
            release();
            pool_ = std::exchange(other.pool_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { release(); }

    char* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::span<char> span() const { return {data_, size_}; }
    explicit operator bool() const { return data_ != nullptr; }
    /// Whose it is. REQUIRES: not empty.
    BufferPool& pool() const { return *pool_; }
    void release();

 private:
    friend class BufferPool;
    Buffer(BufferPool& pool, char* data, std::size_t size) : pool_(&pool), data_(data), size_(size) {}
    BufferPool* pool_ = nullptr;
    char* data_ = nullptr;
    std::size_t size_ = 0;
};

/// The buffers of one reactor, last in first out so that the warm one is used again. One thread; must outlive its
/// buffers.
///
/// Heads travel in `small` blocks, bodies that outgrow one in `large` ones (multiples of a TLS record). Nobody holds a
/// buffer while idle.
class BufferPool {
 public:
    static constexpr std::size_t small = 16 * 1024;
    static constexpr std::size_t large = 128 * 1024;
    static constexpr std::size_t kept_small = 256;  ///< free blocks kept, more while as many were lent lately
    static constexpr std::size_t kept_large = 16;

    BufferPool() = default;
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool();

    Buffer take_small() { return take(small_, small); }
    Buffer take_large() { return take(large_, large); }
    /// Gives the free blocks back to the heap.
    void trim();
    /// A while is over: what was not needed in the last two goes back to the heap.
    void settle();

 private:
    friend class Buffer;
    struct Blocks {
        explicit Blocks(std::size_t kept) : water(kept) {}
        std::vector<char*> free;
        HighWater water;
        void shrink(std::size_t to);
    };
    Buffer take(Blocks& from, std::size_t size);
    void give_back(char* data, std::size_t size);

    Blocks small_{kept_small};
    Blocks large_{kept_large};
};

inline void Buffer::release() {
    if (data_ != nullptr) pool_->give_back(std::exchange(data_, nullptr), size_);
    size_ = 0;
}

}  // namespace edgeproxy::io
