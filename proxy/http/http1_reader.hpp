// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/limits.hpp"
#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// What a reader says after each call.
struct ReadResult {
    enum class Status : std::uint8_t { incomplete, complete, failed };
    Status status = Status::incomplete;
    errc error = errc::ok;      ///< with failed
    std::size_t head_size = 0;  ///< with complete: bytes of `buffered` that the head took; the body begins behind them
};

/// The part that both readers share: lines, names and values, resumable at any byte.
class HeadScanner {
 public:
    explicit HeadScanner(const Limits& limits) : limits_(limits) {}

 protected:
    enum class Step : std::uint8_t { start, first_line, field_name, field_value, line_end, head_end };

    void restart();
    void follow_buffer(std::string_view buffered, Fields& fields);
    ReadResult read_fields(std::string_view buffered, Fields& fields);

    Limits limits_;
    Step step_ = Step::start;
    std::uint32_t line_ = 0;     ///< offset of the line that is being read
    std::uint32_t colon_ = 0;    ///< offset of its colon, in field_value
    std::uint32_t scanned_ = 0;  ///< offset of the first byte not looked at yet
    std::uint32_t charged_ = 0;  ///< against Limits::header_bytes
    std::uintptr_t base_ = 0;    ///< where the buffer lay in the last call
};

/// Reads request heads of HTTP/1.x (RFC 9112), one after another, from a buffer that grows between the calls.
///
/// buffered  all bytes from the beginning of the head on: the same ones again, and more, until the head is complete.
/// The
///           buffer may have moved in between. One leading CRLF is skipped.
/// out       filled as the head comes in; to be read when it is complete. Its views point into `buffered`. The same
/// object
///           in each call for a head; it is reset at the first.
/// cost      every byte is looked at once, however the head is cut: a head sent byte by byte costs O(n).
/// errors    errc, as early as the first byte that decides it; the same for every cut. After one the reader stays
/// failed. After complete the reader is ready for the next head, at buffered + head_size + the body.
class RequestReader : private HeadScanner {
 public:
    explicit RequestReader(const Limits& limits = {}) : HeadScanner(limits) {}
    ReadResult read(std::string_view buffered, Request& out);
    /// Has it begun a head? (Between two requests: false. A close there is no error.)
    bool begun() const { return step_ != Step::start || scanned_ != 0; }

 private:
    ReadResult finish(ReadResult result, Request& out);
    errc failed_ = errc::ok;
};

/// Reads heads of answers, as strictly: an endpoint's output is not trusted either. Interim answers (1xx) are complete
/// heads with no body; read on behind them. No blank line is skipped, HTTP/0.9 is refused.
class ResponseReader : private HeadScanner {
 public:
    explicit ResponseReader(const Limits& limits = response_limits) : HeadScanner(limits) {}
    /// `request_method` is what the answer answers: HEAD means no body.
    ReadResult read(std::string_view buffered, Method request_method, Response& out);
    bool begun() const { return step_ != Step::start || scanned_ != 0; }

 private:
    ReadResult finish(ReadResult result, Method request_method, Response& out);
    errc failed_ = errc::ok;
};

}  // namespace edgeproxy::http
