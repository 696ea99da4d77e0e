// SPDX-License-Identifier: Apache-2.0
#include "tls/io/buffer_pool.hpp"

#include <new>

namespace edgeproxy::io {

BufferPool::~BufferPool() {
    trim();
}

void BufferPool::trim() {
    for (char* block : small_) ::operator delete(block);
    for (char* block : large_) ::operator delete(block);
    small_.clear();
    large_.clear();
}

Buffer BufferPool::take(std::vector<char*>& from, std::size_t size) {
    if (from.empty()) return {*this, static_cast<char*>(::operator new(size)), size};
    char* block = from.back();
    from.pop_back();
    return {*this, block, size};
}

void BufferPool::give_back(char* data, std::size_t size) {
    auto& list = size == small ? small_ : large_;
    if (list.size() >= (size == small ? kept_small : kept_large)) {
        ::operator delete(data);
        return;
    }
    list.push_back(data);
}

}  // namespace edgeproxy::io
