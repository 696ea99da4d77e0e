// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

/// The fields of one header block as nghttp2 takes them. What is added must live until it was submitted.
class Http2FieldList {
 public:
    static constexpr std::size_t most_of_ours = 16;  ///< pseudo fields, and what we say ourselves

    /// A request id differs every time, so the other side's table has better use for the room, and it stays out of it
    /// unless `names`: the blocks behind one whose id is in the table need not spell its name out.
    explicit Http2FieldList(bool names = false) : names_(names) {}

    /// Any name.
    void add(std::string_view name, std::string_view value, FieldId id) {
        if (id == FieldId::x_request_id)
            return put(name, value, names_ ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX);
        // Our own spelling of it is in lower case and stays, so the library makes no copy.
        const std::string_view known = name_of(id);
        if (known.size() == name.size()) return put(known, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
        put(name, value, NGHTTP2_NV_FLAG_NONE);
    }
    /// A literal, in lower case.
    template <std::size_t size>
    void add(const char (&name)[size], std::string_view value) {
        put({name, size - 1}, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
    }
    void add(std::span<const Field> fields) {
        for (const Field& field : fields) {
            // The second belongs to a handshake that HTTP/2 does not have (RFC 8441, section 5).
            if (has_trait(field.id, hop_by_hop) || field.id == FieldId::sec_websocket_accept) continue;
            add(field.name, field.value, field.id);
        }
    }
    void add_status(unsigned status) {
        std::to_chars(status_.data(), status_.data() + status_.size(), status);
        add(":status", {status_.data(), status_.size()});
    }
    void add_length(std::uint64_t length) {
        const auto end = std::to_chars(length_.data(), length_.data() + length_.size(), length);
        add("content-length", {length_.data(), static_cast<std::size_t>(end.ptr - length_.data())});
    }
    const nghttp2_nv* data() const { return list_.data(); }
    std::size_t size() const { return size_; }

 private:
    void put(std::string_view name, std::string_view value, std::uint8_t flags) {
        if (size_ == list_.size()) return;
        list_[size_++] = {bytes(name), bytes(value), name.size(), value.size(), flags};
    }
    // nghttp2 does not write through it, whatever its type says.
    static std::uint8_t* bytes(std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    }
    std::array<nghttp2_nv, Fields::capacity + most_of_ours> list_;
    std::size_t size_ = 0;
    const bool names_;
    std::array<char, 3> status_{};
    std::array<char, 20> length_;
};

}  // namespace edgeproxy::http
