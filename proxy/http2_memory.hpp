// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/http2_connection.hpp"

namespace edgeproxy::proxy {

/// The most memory that one client's HTTP/2 connection holds at one time, whatever the client does, in user space and
/// with everything behind it:
///
///     192 KiB + output + connection window + streams * (frames + workspace + answer + 3 large buffers + 1 small
///     buffer)
///
/// The 192 KiB are TLS, nghttp2 with its two tables, and our own objects. The output is one large buffer. All bodies
/// together fit the connection's window, but each stream may have one buffer that is partly filled. A head, the head
/// for the endpoint and a piece of the answer are each in a large buffer at worst, in a small one mostly; a plain GET
/// that nobody reads keeps some 32 KiB resident. A hundred streams: 45 MiB at worst. Streams that are not read are
/// reset (`limits.response_rate`, `timeouts.write`), so it is not held for long either.
///
/// `window` is the connection's (`http2.connection_window`).
constexpr std::size_t most_http2_memory(unsigned streams, std::size_t window = http::Http2Options{}.connection_window) {
    constexpr std::size_t fixed = 192 * 1024;
    constexpr std::size_t frames = 10 * 1024;  // the exchange and the coroutines that serve it
    static_assert(sizeof(Http2Exchange) <= 2 * 1024 && sizeof(Http2Connection) <= 4 * 1024);
    constexpr std::size_t stream =
        frames + sizeof(Workspace) + sizeof(Answer) + 3 * io::BufferPool::large + io::BufferPool::small;
    return fixed + io::BufferPool::large + window + streams * stream;
}

}  // namespace edgeproxy::proxy
