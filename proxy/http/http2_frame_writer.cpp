// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_frame_writer.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>

namespace edgeproxy::http {

void Http2Delete::operator()(nghttp2_session* library) const {
    nghttp2_session_del(library);
}

std::size_t Http2FrameWriter::write(nghttp2_session* library, std::span<char> out) {
    out_ = out;
    written_ = 0;
    wants_room_ = false;
    while (!failed_) {
        const std::size_t part = std::min(pending_.size(), out_.size() - written_);
        if (part > 0) std::memcpy(out_.data() + written_, pending_.data(), part);
        pending_.remove_prefix(part);
        written_ += part;
        if (!pending_.empty() || out_.size() - written_ < frame_room) {
            wants_room_ = wants_room_ || !pending_.empty() || nghttp2_session_want_write(library) != 0;
            break;
        }
        const std::uint8_t* data = nullptr;
        const ssize_t size = nghttp2_session_mem_send(library, &data);
        if (size < 0) failed_ = true;
        if (size <= 0) break;
        pending_ = {reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)};
    }
    out_ = {};
    return written_;
}

}  // namespace edgeproxy::http
