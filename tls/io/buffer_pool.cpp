// SPDX-License-Identifier: Apache-2.0
#include "tls/io/buffer_pool.hpp"

#include <new>

namespace edgeproxy::io {

BufferPool::~BufferPool() {
    trim();
}

void BufferPool::Blocks::shrink(std::size_t to) {
    while (free.size() > to) {
        ::operator delete(free.back());
        free.pop_back();
    }
}

void BufferPool::trim() {
    small_.shrink(0);
    large_.shrink(0);
}

void BufferPool::settle() {
    small_.shrink(small_.water.pass());
    large_.shrink(large_.water.pass());
}

Buffer BufferPool::take(Blocks& from, std::size_t size) {
    from.water.lent();
    if (from.free.empty()) return {*this, static_cast<char*>(::operator new(size)), size};
    char* block = from.free.back();
    from.free.pop_back();
    return {*this, block, size};
}

void BufferPool::give_back(char* data, std::size_t size) {
    Blocks& blocks = size == small ? small_ : large_;
    try {
        if (blocks.water.returned(blocks.free.size())) return blocks.free.push_back(data);
    } catch (const std::bad_alloc&) {
        // The list cannot grow.
    }
    ::operator delete(data);
}

}  // namespace edgeproxy::io
