// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "proxy/http/http2_budget.hpp"

namespace edgeproxy::http {

/// Follows the frames of a client, whatever becomes of them, and has each paid for that costs something (Http2Budget).
///
/// Knows which of its streams the client has ended itself: nothing but small talk may come on those (RFC 9113,
/// section 5.1), and no stream may be opened below the last (section 5.1.1). nghttp2 lets both pass, and PRIORITY of a
/// stream that depends on itself. Judges by the client's frames alone, so what crosses a reset of ours is never taken
/// for its fault. Remembers the latest 256 streams; of older ones it says nothing.
class Http2Order {
 public:
    using TimePoint = Http2Budget::TimePoint;
    enum class Fault : std::uint8_t {
        none,
        closed,     ///< a frame on a stream that the client has ended: STREAM_CLOSED
        malformed,  ///< PROTOCOL_ERROR
        spent       ///< the budget was
    };

    /// Takes note of bytes, any cut, beginning with the client's preface. Returns how many came before a faulty frame,
    /// or up to where a stream is to be reset (`take_self_dependent`); all of them mostly.
    std::size_t follow(std::string_view in, Http2Budget& budget, TimePoint now);
    Fault fault() const { return fault_; }
    /// The stream that is to be reset with PROTOCOL_ERROR because it depends on itself, or 0. Told once.
    std::uint32_t take_self_dependent() { return std::exchange(self_dependent_, 0); }

 private:
    static constexpr std::uint32_t head_size = 9, word_size = 4;
    Http2FrameHead read() const;
    Fault judge(const Http2FrameHead& frame, Http2Budget& budget, TimePoint now);
    Fault judge_priority(const Http2FrameHead& frame);
    Fault judge_stream(const Http2FrameHead& frame, Http2Budget& budget, TimePoint now);
    std::uint32_t& entry(std::uint32_t id) { return recent_[(id >> 1) % recent_.size()]; }

    std::uint64_t skip_ = 24;  // bytes that are no frame header: the preface, then payloads
    std::array<unsigned char, head_size + word_size> head_{};
    std::uint32_t have_ = 0, want_ = head_size;
    std::uint32_t newest_ = 0;
    std::array<std::uint32_t, 256> recent_{};  // by id: id * 2, and 1 if the client has ended it
    std::uint32_t self_dependent_ = 0;
    Fault fault_ = Fault::none;
};

}  // namespace edgeproxy::http
