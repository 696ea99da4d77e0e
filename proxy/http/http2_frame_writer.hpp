// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

struct nghttp2_session;

namespace edgeproxy::http {

/// Frees a session of the library.
struct Http2Delete {
    void operator()(nghttp2_session* library) const;
};

/// Puts the frames of a session into its caller's output: those that nghttp2 makes, and DATA straight from the memory
/// of whoever sends it. Used by the sessions of both sides; one thread, like they.
class Http2FrameWriter {
 public:
    static constexpr std::size_t frame_head = 9;                   ///< RFC 9113, section 4.1
    static constexpr std::size_t data_frame = 16384 - frame_head;  ///< payload of DATA: with its head a TLS record
    static constexpr std::size_t frame_room = 16384 + frame_head;  ///< nothing is added to an output with less room

    /// Writes frames of `library` into `out` while there are any and room for one; how many bytes.
    std::size_t write(nghttp2_session* library, std::span<char> out);
    /// `write`, or `has_room`, stopped for want of room.
    bool wants_room() const { return wants_room_; }
    /// The library is beyond use; nothing is written any more. Stays so.
    bool failed() const { return failed_; }
    void fail() { failed_ = true; }

    // For the library's callbacks, within `write`.

    /// There is room for a DATA frame.
    bool has_room() {
        if (out_.size() - written_ >= frame_room) return true;
        wants_room_ = true;
        return false;
    }
    /// A DATA frame: its head, and the first `size` bytes of `data`, which it takes off.
    void put_data(const std::uint8_t* head, std::string_view& data, std::size_t size) {
        char* const at = out_.data() + written_;
        std::memcpy(at, head, frame_head);
        if (size > 0) std::memcpy(at + frame_head, data.data(), size);
        data.remove_prefix(size);
        written_ += frame_head + size;
    }

 private:
    std::span<char> out_;
    std::size_t written_ = 0;
    std::string_view pending_;  // of a frame that did not fit; nghttp2's memory
    bool wants_room_ = false, failed_ = false;
};

}  // namespace edgeproxy::http
