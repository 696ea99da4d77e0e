// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include "tls/io/buffer_pool.hpp"

namespace edgeproxy::proxy {

/// Bytes of a request body that came and were not read yet: copied once, tightly, into pooled buffers; at most a flow
/// control window of them. Holds no buffer while empty.
class Http2Body {
 public:
    static constexpr std::size_t usual_window = 64 * 1024;
    static constexpr std::size_t usual_buffers = usual_window / io::BufferPool::small + 2;
    /// A window whose first byte may lie anywhere in its buffer, and one buffer more.
    static constexpr std::size_t most_buffers(std::size_t window) {
        return (window + io::BufferPool::small - 1) / io::BufferPool::small + 2;
    }

    explicit Http2Body(io::BufferPool& pool, std::size_t window = usual_window)
        : pool_(pool), most_(most_buffers(window)), places_(std::min(most_, usual_.size())) {}
    Http2Body(const Http2Body&) = delete;
    Http2Body& operator=(const Http2Body&) = delete;

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    /// Bytes of memory.
    std::size_t held() const { return count_ * io::BufferPool::small; }

    /// Appends; false (and the body is of no use) when there are more bytes than any window allows.
    bool push(std::string_view bytes) {
        while (!bytes.empty()) {
            if (count_ == 0 || end_ == io::BufferPool::small) {
                if (count_ == places_ && !widen()) return false;
                at(count_++) = pool_.take_small();
                end_ = 0;
            }
            const io::Buffer& last = at(count_ - 1);
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
        first_ = (first_ + 1) % places_;
        --count_;
        begin_ = 0;
    }

 private:
    io::Buffer& at(std::size_t number) { return buffers_[(first_ + number) % places_]; }

    /// Places for all of a wider window, once more than a usual one waits.
    bool widen() {
        if (places_ == most_) return false;
        auto wide = std::make_unique<io::Buffer[]>(most_);
        for (std::size_t i = 0; i < count_; ++i) wide[i] = std::move(at(i));
        wide_ = std::move(wide);
        buffers_ = wide_.get();
        places_ = most_;
        first_ = 0;
        return true;
    }

    io::BufferPool& pool_;
    const std::size_t most_;
    std::array<io::Buffer, usual_buffers> usual_;
    std::unique_ptr<io::Buffer[]> wide_;
    io::Buffer* buffers_ = usual_.data();
    std::size_t places_;                 // at `buffers_`
    std::size_t first_ = 0, count_ = 0;  // which buffers are in use
    std::size_t begin_ = 0;              // in the first
    std::size_t end_ = 0;                // in the last
    std::size_t size_ = 0;
};

}  // namespace edgeproxy::proxy
