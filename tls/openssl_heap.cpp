// SPDX-License-Identifier: Apache-2.0
#include "tls/openssl_heap.hpp"

#include <openssl/crypto.h>

#include "tls/io/library_heap.hpp"

namespace edgeproxy::tls {
namespace {

using io::LibraryHeap;

constexpr LibraryHeap::Needs needs{};

void* allocate(std::size_t size, const char*, int) {
    return size > 0 ? LibraryHeap::allocate(size, needs) : nullptr;
}

void release(void* block, const char*, int) {
    LibraryHeap::release(block);
}

void* resize(void* block, std::size_t size, const char*, int) {
    if (size > 0) return LibraryHeap::resize(block, size, needs);
    LibraryHeap::release(block);
    return nullptr;
}

}  // namespace

bool install_openssl_heap() {
    return CRYPTO_set_mem_functions(allocate, resize, release) == 1;
}

}  // namespace edgeproxy::tls
