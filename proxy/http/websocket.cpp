// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/websocket.hpp"

#include <algorithm>

#include "proxy/http/sha1.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::string_view accept_suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, section 1.3
constexpr std::size_t key_size = 24;

constexpr unsigned char opcode_bits = 0x0f;
constexpr unsigned char opcode_close = 0x08;
constexpr unsigned char mask_bit = 0x80;
constexpr unsigned char length_bits = 0x7f;
constexpr std::uint8_t length_in_2 = 126;
constexpr std::uint8_t length_in_8 = 127;

char byte_of(std::uint32_t value, unsigned shift) {
    return static_cast<char>((value >> shift) & 0xff);
}

}  // namespace

std::array<char, 28> websocket_accept(std::string_view key) {
    std::array<char, key_size + accept_suffix.size()> text;
    key = key.substr(0, key_size);
    char* end = std::copy(key.begin(), key.end(), text.data());
    end = std::copy(accept_suffix.begin(), accept_suffix.end(), end);
    const auto digest = sha1({text.data(), static_cast<std::size_t>(end - text.data())});

    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::array<char, 28> out;
    for (std::size_t i = 0, o = 0; i < digest.size(); i += 3, o += 4) {  // 20 bytes: the last group has two
        const std::uint32_t third = i + 2 < digest.size() ? digest[i + 2] : 0;
        const std::uint32_t group =
            static_cast<std::uint32_t>(digest[i]) << 16 | static_cast<std::uint32_t>(digest[i + 1]) << 8 | third;
        for (unsigned k = 0; k < 4; ++k) out[o + k] = alphabet[(group >> (18 - 6 * k)) & 63];
    }
    out[27] = '=';
    return out;
}

bool opens_tunnel(const Response& response, std::string_view key) {
    if (!response.switching) return false;
    const auto wanted = websocket_accept(key);
    return response.fields.value(FieldId::sec_websocket_accept) == std::string_view(wanted.data(), wanted.size());
}

std::size_t WsFrameTracker::next(std::string_view in) {
    // Most frames are short and come whole.
    if (at_boundary() && in.size() >= 2) {
        const auto first = static_cast<unsigned char>(in[0]), second = static_cast<unsigned char>(in[1]);
        const std::size_t length = second & length_bits;
        const std::size_t whole = 2 + ((second & mask_bit) != 0 ? 4 : 0) + length;
        if (length < length_in_2 && whole <= in.size()) {
            close_seen_ = close_seen_ || (first & opcode_bits) == opcode_close;
            return whole;
        }
    }
    std::size_t at = 0;
    while (at < in.size()) {
        if (broken_) return in.size();
        if (payload_left_ == 0) {
            if (!take_header(static_cast<unsigned char>(in[at++]))) continue;
        } else {
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, in.size() - at));
            payload_left_ -= n;
            at += n;
        }
        if (payload_left_ == 0) return at;  // a frame has ended
    }
    return at;
}

// Is the header complete with this byte?
bool WsFrameTracker::take_header(unsigned char c) {
    const std::uint8_t place = have_++;
    if (place == 0) {
        close_seen_ = close_seen_ || (c & opcode_bits) == opcode_close;
        return false;
    }
    if (place == 1) {
        const auto length = static_cast<std::uint8_t>(c & length_bits);
        length_ = length < length_in_2 ? length : 0;
        size_ = static_cast<std::uint8_t>(2 + (length == length_in_2 ? 2 : length == length_in_8 ? 8 : 0));
        extended_end_ = size_;
        if ((c & mask_bit) != 0) size_ = static_cast<std::uint8_t>(size_ + 4);
    } else if (place < extended_end_) {
        length_ = length_ << 8 | c;
        if (place == 2 && extended_end_ == 10 && c > 0x7f) broken_ = true;
    }
    if (have_ < size_) return false;
    have_ = 0;
    payload_left_ = length_;
    return true;
}

WsClose ws_close_to_client(std::uint16_t code) {
    return {{static_cast<char>(0x88), 2, byte_of(code, 8), byte_of(code, 0)}, 4};
}

WsClose ws_close_to_server(std::uint16_t code, std::uint32_t key) {
    WsClose out{{static_cast<char>(0x88), static_cast<char>(0x82)}, 8};
    for (unsigned i = 0; i < 4; ++i) out.bytes[2 + i] = byte_of(key, 24 - 8 * i);
    out.bytes[6] = static_cast<char>(byte_of(code, 8) ^ out.bytes[2]);
    out.bytes[7] = static_cast<char>(byte_of(code, 0) ^ out.bytes[3]);
    return out;
}

}  // namespace edgeproxy::http
