// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace edgeproxy::http {

/// The memory that a session's library takes: as malloc, free, calloc and realloc; the last argument is not used. The
/// library needs blocks aligned to 8. They must do for all threads that have sessions.
struct Http2Heap {
    void* (*allocate)(std::size_t size, void*);
    void (*release)(void* block, void*);
    void* (*allocate_clear)(std::size_t count, std::size_t size, void*);
    void* (*resize)(void* block, std::size_t size, void*);
};

}  // namespace edgeproxy::http
