// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace edgeproxy::http {

/// What a head may cost, in bytes and fields. `fields` is at most Fields::capacity.
struct Limits {
    std::size_t request_line = 8192;   ///< first line without its CRLF
    std::size_t header_bytes = 32768;  ///< sum over the fields of name, value, blanks around it, and 32
    std::size_t field = 16384;         ///< name, value and blanks around it
    std::size_t name = 256;
    std::size_t fields = 100;
    /// Are bytes from 0x80 let through in the values of a WebSocket handshake? Some servers split lines at 0x85 there.
    bool upgrade_obs_text = false;

    /// A reader asks for no more input than this: a head buffer of this size never runs full.
    constexpr std::size_t head_size() const { return 2 + request_line + 2 + header_bytes + 2; }
    friend bool operator==(const Limits&, const Limits&) = default;
};

/// What we take from an endpoint.
inline constexpr Limits response_limits{
    .request_line = 8192, .header_bytes = 65536, .field = 65536, .name = 256, .fields = 200, .upgrade_obs_text = true};

/// Bounds of a chunked body besides its data.
inline constexpr std::size_t max_chunk_ext = 256;       ///< bytes of extensions of one chunk
inline constexpr std::size_t max_body_ext = 4096;       ///< of all chunks of a body
inline constexpr std::size_t max_trailer_bytes = 4096;  ///< names and values
inline constexpr std::size_t max_trailer_fields = 32;
inline constexpr std::size_t max_trailer_name = 256;

}  // namespace edgeproxy::http
