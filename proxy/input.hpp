// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <string_view>

#include "proxy/http/body_reader.hpp"
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

/// The next bytes of a body in `input`: of all its chunks there, for which they are moved together over the framing
/// between them; so a body in many small chunks goes on in as few pieces as any other. `done` and `error` hold for what
/// follows `data`.
inline http::BodyStep next_of_body(http::BodyReader& body, Input& input) {
    http::BodyStep joined = body.next(input.text());
    input.begin += joined.consumed;
    while (!input.empty() && !joined.data.empty() && !joined.done && joined.error == http::errc::ok) {
        const http::BodyStep step = body.next(input.text());
        char* const end = input.buffer.data() + (joined.data.data() - input.buffer.data()) + joined.data.size();
        if (!step.data.empty()) std::memmove(end, step.data.data(), step.data.size());
        input.begin += step.consumed;
        joined = {joined.consumed + step.consumed,
                  {joined.data.data(), joined.data.size() + step.data.size()},
                  step.done,
                  step.error};
    }
    return joined;
}

}  // namespace edgeproxy::proxy
