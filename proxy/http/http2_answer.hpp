// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/limits.hpp"
#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// The heads of an answer on HTTP/2 as they come (RFC 9113, section 8.3.2): interim ones, and the final one. Checked as
/// strictly as those of HTTP/1.1, kept in order, and read out when somebody has time for the next.
///
/// What is above `response_limits` is an error, before it costs memory. All bytes lie in the memory that the owner
/// gives.
class Http2Answer {
 public:
    static constexpr std::size_t most_interim = 8;     ///< heads that wait to be read, of 1xx
    static constexpr std::size_t field_overhead = 32;  ///< what a field costs besides its bytes (section 6.5.2)

    enum class Taken : std::uint8_t {
        ok,
        full,      ///< there is no room: `move_to` more memory and add it again
        malformed  ///< `error` tells; the stream is of no use
    };

    void begin(std::span<char> memory);
    /// The next field as the decoder gives it.
    Taken add(std::string_view name, std::string_view value);
    /// The block is complete. `ended`: no body follows. False: malformed.
    bool end_head(bool ended);
    /// Continues in a larger memory. Views that `read` gave stay in the old one, which must live as long as they.
    void move_to(std::span<char> larger);

    /// The final head has come.
    bool final_seen() const { return final_; }
    /// Heads that were not read.
    std::size_t waiting() const { return waiting_; }
    /// Reads the next head. REQUIRES: one is waiting. Views point into the memory.
    errc read(Method request_method, Response& out);
    errc error() const { return error_; }

 private:
    struct Record {
        std::uint16_t name = 0;
        std::uint16_t id = 0;
        std::uint32_t value = 0;
    };
    static constexpr std::uint16_t end_mark = 0xffff;  // as `name`: the head is over, `value` is 1 if ended
    Taken fail(errc error);
    bool put(const Record& record, std::string_view name, std::string_view value);
    Record get();

    std::span<char> memory_;
    std::size_t used_ = 0, read_ = 0;
    std::size_t fields_ = 0, bytes_ = 0;  // of the present head
    std::size_t waiting_ = 0;
    unsigned status_ = 0;  // of the present head
    bool final_ = false;
    errc error_ = errc::ok;
};

}  // namespace edgeproxy::http
