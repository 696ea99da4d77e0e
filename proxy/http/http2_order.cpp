// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_order.hpp"

#include <algorithm>

namespace edgeproxy::http {
namespace {

constexpr unsigned type_headers = 1, type_priority = 2, type_reset = 3, type_window_update = 8;
constexpr unsigned priority_size = 5;
constexpr unsigned flag_end_stream = 1;

std::uint32_t number(const unsigned char* at) {
    return static_cast<std::uint32_t>(at[0] & 0x7f) << 24 | static_cast<std::uint32_t>(at[1]) << 16 |
           static_cast<std::uint32_t>(at[2]) << 8 | at[3];
}

/// Its payload begins with a number that is of interest.
bool has_word(const Http2FrameHead& frame) {
    return (frame.type == type_window_update && frame.length == 4) ||
           (frame.type == type_priority && frame.length == priority_size);
}

}  // namespace

Http2FrameHead Http2Order::read() const {
    Http2FrameHead frame;
    frame.length = static_cast<std::uint32_t>(head_[0]) << 16 | static_cast<std::uint32_t>(head_[1]) << 8 | head_[2];
    frame.type = head_[3];
    frame.flags = head_[4];
    frame.stream = number(head_.data() + 5);
    if (want_ > head_size) frame.word = number(head_.data() + head_size);
    return frame;
}

std::size_t Http2Order::follow(std::string_view in, Http2Budget& budget, TimePoint now) {
    std::size_t at = 0;
    while (at < in.size() && fault_ == Fault::none && self_dependent_ == 0) {
        if (skip_ > 0) {
            const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, in.size() - at));
            skip_ -= part;
            at += part;
            continue;
        }
        head_[have_++] = static_cast<unsigned char>(in[at++]);
        if (have_ < want_) continue;
        const Http2FrameHead frame = read();
        if (want_ == head_size && has_word(frame)) {
            want_ += word_size;
            continue;
        }
        skip_ = frame.length - (want_ - head_size);
        fault_ = judge(frame, budget, now);
        if (fault_ != Fault::none) at -= std::min<std::size_t>(at, have_);
        have_ = 0;
        want_ = head_size;
    }
    return at;
}

Http2Order::Fault Http2Order::judge(const Http2FrameHead& frame, Http2Budget& budget, TimePoint now) {
    Fault fault = Fault::none;
    if (frame.type == type_priority) fault = judge_priority(frame);
    if (frame.type < type_priority || frame.type == type_reset) fault = judge_stream(frame, budget, now);
    if (fault != Fault::none) return fault;
    budget.frame(frame, now);
    return budget.spent() ? Fault::spent : Fault::none;
}

Http2Order::Fault Http2Order::judge_priority(const Http2FrameHead& frame) {
    if (frame.stream == 0) return Fault::malformed;  // section 6.3
    if (frame.length != priority_size || frame.word != frame.stream) return Fault::none;
    // RFC 7540, section 5.3.1. A stream that was not opened yet cannot be reset (RFC 9113, section 6.4).
    if (frame.stream > newest_) return Fault::malformed;
    self_dependent_ = frame.stream;
    return Fault::none;
}

Http2Order::Fault Http2Order::judge_stream(const Http2FrameHead& frame, Http2Budget& budget, TimePoint now) {
    const std::uint32_t id = frame.stream;
    if (id % 2 == 0) return Fault::none;  // never the client's: the library knows
    const bool headers = frame.type == type_headers;
    const bool reset = frame.type == type_reset;
    const bool ends = reset || (frame.flags & flag_end_stream) != 0;
    std::uint32_t& known = entry(id);
    if (id > newest_) {
        if (!headers) return Fault::none;  // on an idle stream: the library knows
        newest_ = id;
        known = id << 1 | (ends ? 1U : 0U);
        budget.opened();
        return Fault::none;
    }
    if (known >> 1 != id) {
        // Forgotten, or passed over when a higher one was opened.
        if (known >> 1 > id || reset) return Fault::none;
        return headers ? Fault::malformed : Fault::closed;
    }
    if (!reset && (known & 1) != 0) return Fault::closed;
    if (headers && !ends) budget.spend(Glitch::stray_headers, now);
    if (ends) known |= 1;
    return Fault::none;
}

}  // namespace edgeproxy::http
