// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/http/http2_heap.hpp"
#include "tls/io/library_heap.hpp"

namespace edgeproxy::proxy {

/// nghttp2 takes some six small blocks for every request. A session's buffer for one frame is made once, and mostly
/// only its beginning is written.
inline constexpr io::LibraryHeap::Needs session_needs{.largest_small = 504, .untouched = true};

/// The memory of all HTTP/2 sessions, with clients and with endpoints. Any thread.
inline constexpr http::Http2Heap session_heap{
    .allocate = [](std::size_t size, void*) { return io::LibraryHeap::allocate(size, session_needs); },
    .release = [](void* block, void*) { io::LibraryHeap::release(block); },
    .allocate_clear = [](std::size_t count, std::size_t size,
                         void*) { return io::LibraryHeap::allocate_clear(count, size); },
    .resize = [](void* block, std::size_t size, void*) { return io::LibraryHeap::resize(block, size, session_needs); }};

}  // namespace edgeproxy::proxy
