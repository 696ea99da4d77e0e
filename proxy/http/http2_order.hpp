// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace edgeproxy::http {

/// Follows the frames of a client and knows which of its streams it has ended itself: nothing but small talk may come
/// on those (RFC 9113, section 5.1), and no stream may be opened below the last (section 5.1.1). nghttp2 lets both
/// pass.
///
/// Judges by the client's frames alone, so what crosses a reset of ours is never taken for its fault. Remembers the
/// latest 256 streams; of older ones it says nothing.
class Http2Order {
 public:
    enum class Fault : std::uint8_t { none, closed, malformed };

    /// Takes note of bytes, any cut, beginning with the client's preface. Returns how many came before a faulty frame;
    /// all of them if there is none.
    std::size_t follow(std::string_view in);
    Fault fault() const { return fault_; }

 private:
    static constexpr std::uint32_t head_size = 9;
    Fault judge();
    std::uint32_t& entry(std::uint32_t id) { return recent_[(id >> 1) % recent_.size()]; }

    std::uint64_t skip_ = 24;  // bytes that are no frame header: the preface, then payloads
    std::array<unsigned char, head_size> head_{};
    std::uint32_t have_ = 0;
    std::uint32_t newest_ = 0;
    std::array<std::uint32_t, 256> recent_{};  // by id: id * 2, and 1 if the client has ended it
    Fault fault_ = Fault::none;
};

}  // namespace edgeproxy::http
