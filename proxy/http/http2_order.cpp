// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_order.hpp"

#include <algorithm>

namespace edgeproxy::http {
namespace {

// DATA is 0, and everything above RST_STREAM is small talk.
constexpr unsigned type_headers = 1, type_priority = 2, type_reset = 3;
constexpr unsigned flag_end_stream = 1;

}  // namespace

std::size_t Http2Order::follow(std::string_view in) {
    std::size_t at = 0;
    while (at < in.size() && fault_ == Fault::none) {
        if (skip_ > 0) {
            const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, in.size() - at));
            skip_ -= part;
            at += part;
            continue;
        }
        head_[have_++] = static_cast<unsigned char>(in[at++]);
        if (have_ < head_size) continue;
        have_ = 0;
        skip_ = static_cast<std::uint64_t>(head_[0]) << 16 | static_cast<std::uint64_t>(head_[1]) << 8 | head_[2];
        fault_ = judge();
        if (fault_ != Fault::none) at -= std::min<std::size_t>(at, head_size);
    }
    return at;
}

Http2Order::Fault Http2Order::judge() {
    const unsigned type = head_[3];
    const bool headers = type == type_headers;
    if (type > type_reset) return Fault::none;
    const std::uint32_t id = static_cast<std::uint32_t>(head_[5] & 0x7f) << 24 |
                             static_cast<std::uint32_t>(head_[6]) << 16 | static_cast<std::uint32_t>(head_[7]) << 8 |
                             head_[8];
    if (type == type_priority) return id == 0 ? Fault::malformed : Fault::none;  // section 6.3
    if (id % 2 == 0) return Fault::none;  // never the client's: the library knows
    const bool ends = type == type_reset || (head_[4] & flag_end_stream) != 0;
    std::uint32_t& known = entry(id);
    if (id > newest_) {
        if (!headers) return Fault::none;  // on an idle stream: the library knows
        newest_ = id;
        known = id << 1 | (ends ? 1U : 0U);
        return Fault::none;
    }
    if (known >> 1 != id) {
        // Forgotten, or passed over when a higher one was opened.
        if (known >> 1 > id || type == type_reset) return Fault::none;
        return headers ? Fault::malformed : Fault::closed;
    }
    if (type != type_reset && (known & 1) != 0) return Fault::closed;
    if (ends) known |= 1;
    return Fault::none;
}

}  // namespace edgeproxy::http
