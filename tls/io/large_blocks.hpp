// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#include "tls/io/spare_lists.hpp"

namespace edgeproxy::io {

/// Blocks in which a TLS record or an HTTP/2 frame has room, on pages of their own, so that no small allocation that
/// stays settles between them.
///
/// What a thread has used last it uses again, as warm as can be. What it does not keep loses its memory and waits as
/// addresses only, for any thread: these are never given back, and are as many as were used at one time. Any thread.
class LargeBlocks {
 public:
    static constexpr std::size_t size = 20 * 1024;
    static constexpr unsigned most_kept = 256;  ///< these are of SpareLists
    static constexpr unsigned always_kept = 32;
    static constexpr unsigned most_freed = 256;

    /// The block that this thread has used last, else a fresh one. At the beginning of a page. Null: there is no
    /// memory.
    static void* allocate() noexcept {
        void* const kept = Lists::take(0);
        return kept != nullptr ? kept : fresh();
    }
    /// A block that costs no memory where nobody writes to it.
    static void* fresh() noexcept;
    static void release(void* block) noexcept { Lists::give(0, block); }
    static void settle() noexcept { Lists::settle(); }
    static void trim() noexcept { Lists::trim(); }
    /// Blocks that this thread keeps.
    static unsigned waiting() noexcept { return Lists::waiting(0); }

 private:
    struct Kind {
        static constexpr std::size_t lists = 1;
        static constexpr unsigned most_kept = LargeBlocks::most_kept;
        static constexpr unsigned always_kept = LargeBlocks::always_kept;
        static constexpr unsigned most_freed = LargeBlocks::most_freed;
        static void destroy(void* block) noexcept;
    };
    using Lists = SpareLists<Kind>;
};

}  // namespace edgeproxy::io
