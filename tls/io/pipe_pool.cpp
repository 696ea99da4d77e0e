// SPDX-License-Identifier: Apache-2.0
#include "tls/io/pipe_pool.hpp"

#include <fcntl.h>

#include <algorithm>
#include <new>

namespace edgeproxy::io {

Pipe PipePool::take(int ceiling) {
    if (!works_ || lent_ >= most) return {};
    if (free_.empty()) {
        int ends[2];
        if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
        Ends made{UniqueFd{ends[1]}, UniqueFd{ends[0]}};
        if (std::max(ends[0], ends[1]) >= ceiling) return {};
        // May be refused beyond the user's share of pipe memory: a small pipe works, only less well.
        ::fcntl(made.in.get(), F_SETPIPE_SZ, static_cast<int>(capacity));
        ++lent_;
        return {*this, std::move(made.in), std::move(made.out)};
    }
    Ends ends = std::move(free_.back());
    free_.pop_back();
    ++lent_;
    return {*this, std::move(ends.in), std::move(ends.out)};
}

void PipePool::give_back(UniqueFd in, UniqueFd out, bool empty) {
    --lent_;
    // Bytes of one connection must never come out on another: only an empty pipe is used again.
    try {
        if (empty && free_.size() < kept) free_.push_back({std::move(in), std::move(out)});
    } catch (const std::bad_alloc&) {
        // The list cannot grow: it was closed.
    }
}

}  // namespace edgeproxy::io
