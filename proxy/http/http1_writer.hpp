// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

/// Writes a head into a caller's buffer. Never past its end: what does not fit is left out and `overflowed` says so
/// (then nothing of it may be sent). It writes what it is told; that names and values are clean is the callers'
/// business (they come from a reader or from checked configuration).
class HeadWriter {
 public:
    explicit HeadWriter(std::span<char> buffer) : begin_(buffer.data()), at_(begin_), end_(begin_ + buffer.size()) {}

    void put(std::string_view text) {
        if (text.size() > static_cast<std::size_t>(end_ - at_)) return overflow();
        if (text.empty()) return;  // its data may be null, which memcpy must not get
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void put(char c) {
        if (at_ == end_) return overflow();
        *at_++ = c;
    }
    /// In decimal.
    void number(std::uint64_t value);

    /// `METHOD target HTTP/1.1`
    void request_line(std::string_view method, std::string_view target);
    /// `HTTP/1.1 status reason`; the usual reason for an empty one.
    void status_line(unsigned status, std::string_view reason = {});
    void field(std::string_view name, std::string_view value);
    void field(std::string_view name, std::uint64_t value);
    /// One that was read: copied in one piece if it is written as we would.
    void field(const Field& field);
    /// The empty line.
    void end_head() { put("\r\n"); }

    /// The line before a chunk of `size` bytes (not 0). Behind its data belongs a `chunk_tail`.
    void chunk_line(std::uint64_t size);
    /// The last chunk, with trailers if there are any.
    void last_chunk(std::span<const Field> trailers = {});
    /// What belongs behind the last `data` of a body with trailers.
    void chunk_tail(std::string_view data, std::span<const Field> trailers) {
        if (!data.empty()) put("\r\n");
        last_chunk(trailers);
    }

    bool overflowed() const { return overflowed_; }
    std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
    std::string_view text() const { return {begin_, size()}; }

 private:
    void overflow() {
        overflowed_ = true;
        end_ = at_;
    }

    char* begin_;
    char* at_;
    char* end_;
    bool overflowed_ = false;
};

/// The most that `chunk_line` writes: 16 hex digits and CRLF.
inline constexpr std::size_t max_chunk_line = 18;

/// What belongs behind the data of a chunk; empty data are no chunk. `last`: with the end of a body without trailers.
constexpr std::string_view chunk_tail(std::string_view data, bool last) {
    if (data.empty()) return last ? "0\r\n\r\n" : "";
    return last ? "\r\n0\r\n\r\n" : "\r\n";
}

/// The reason phrase of a status (RFC 9110, section 15), or "" for one that has none.
std::string_view reason_of(unsigned status);

}  // namespace edgeproxy::http
