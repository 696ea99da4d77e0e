// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <string_view>

#include "tls/io/buffer_pool.hpp"

namespace edgeproxy::proxy {

/// The bytes of a connection that are read but not used yet: a part of one pooled buffer. Holds no buffer while empty
/// and released.
struct Input {
    io::Buffer buffer;
    std::size_t begin = 0, end = 0;

    std::string_view text() const { return {buffer.data() + begin, end - begin}; }
    bool empty() const { return begin == end; }
    std::size_t size() const { return end - begin; }
    /// All of it has been used, and is still there until the next read.
    std::string_view take() {
        const std::string_view all = text();
        begin = end;
        return all;
    }
    void release() {
        buffer.release();
        begin = end = 0;
    }
    /// Room behind the bytes, for which they may move; or no buffer at all, which has room. False: it is as large as
    /// buffers are.
    bool make_room() {
        if (!buffer || end < buffer.size()) return true;
        if (begin > 0) {
            std::memmove(buffer.data(), buffer.data() + begin, end - begin);
        } else {
            if (buffer.size() >= io::BufferPool::large) return false;
            io::Buffer larger = buffer.pool().take_large();
            std::memcpy(larger.data(), buffer.data(), end);
            buffer = std::move(larger);
        }
        end -= begin;
        begin = 0;
        return true;
    }
};

}  // namespace edgeproxy::proxy
