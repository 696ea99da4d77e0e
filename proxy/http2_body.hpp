// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "tls/io/buffer_pool.hpp"

namespace edgeproxy::proxy {

/// Bytes of a request body that came and were not read yet: copied once, tightly, into pooled buffers; at most a flow
/// control window of them. Holds no buffer while empty.
class Http2Body {
 public:
    /// A window of 64 KiB whose first byte may lie anywhere in its buffer, and one buffer more.
    static constexpr std::size_t most_buffers = 6;

    explicit Http2Body(io::BufferPool& pool) : pool_(pool) {}

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    /// Bytes of memory.
    std::size_t held() const { return count_ * io::BufferPool::small; }

    /// Appends; false (and the body is of no use) when there are more bytes than any window allows.
    bool push(std::string_view bytes) {
        while (!bytes.empty()) {
            if (count_ == 0 || end_ == io::BufferPool::small) {
                if (count_ == most_buffers) return false;
                buffers_[(first_ + count_++) % most_buffers] = pool_.take_small();
                end_ = 0;
            }
            const io::Buffer& last = buffers_[(first_ + count_ - 1) % most_buffers];
            const std::size_t part = std::min(bytes.size(), last.size() - end_);
            std::memcpy(last.data() + end_, bytes.data(), part);
            bytes.remove_prefix(part);
            end_ += part;
            size_ += part;
        }
        return true;
    }

    /// The first bytes that lie together. They stay where they are until they are popped.
    std::string_view front() const {
        if (size_ == 0) return {};
        const std::size_t end = count_ == 1 ? end_ : io::BufferPool::small;
        return {buffers_[first_].data() + begin_, end - begin_};
    }

    /// Drops the first `size` bytes, at most what `front` gave.
    void pop(std::size_t size) {
        size_ -= size;
        begin_ += size;
        if (size_ > 0 && begin_ < io::BufferPool::small) return;
        if (count_ == 0) return;
        buffers_[first_].release();
        first_ = (first_ + 1) % most_buffers;
        --count_;
        begin_ = 0;
    }

 private:
    io::BufferPool& pool_;
    std::array<io::Buffer, most_buffers> buffers_;
    std::size_t first_ = 0, count_ = 0;  // which buffers are in use
    std::size_t begin_ = 0;              // in the first
    std::size_t end_ = 0;                // in the last
    std::size_t size_ = 0;
};

}  // namespace edgeproxy::proxy
