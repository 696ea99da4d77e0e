// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "proxy/http/head_scanner.hpp"
#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// Reads request heads of HTTP/1.x (RFC 9112), one after another, from a buffer that grows between the calls.
///
/// buffered  all bytes from the beginning of the head on: the same ones again, and more, until the head is complete.
///           The buffer may have moved in between. One leading CRLF is skipped.
/// out       filled as the head comes in, to be read when it is complete; its views point into `buffered` then.
///           The same object in each call for a head; it is reset at the first.
/// cost      every byte is looked at once, however the head is cut: a head sent byte by byte costs O(n).
/// errors    errc, as early as the byte that decides it, the same for every cut. After one the reader stays failed.
///
/// After complete the reader is ready for the next head, which begins behind head_size and the body.
class RequestReader : private HeadScanner {
 public:
    explicit RequestReader(const Limits& limits = {}) : HeadScanner(limits) {}
    ReadResult read(std::string_view buffered, Request& out);
    /// The buffer has moved, and nothing new is in it: `out`, of a head that is not complete, goes with it.
    void follow(std::string_view buffered, Request& out) { follow_buffer(buffered, out.fields); }
    /// Has it begun a head? (Between two requests: false. A close there is no error.)
    bool begun() const { return step_ != Step::start; }

 private:
    ReadResult read_line(std::string_view buffered, Request& out);
    ReadResult read_start(std::string_view buffered);
    ReadResult read_method(std::string_view buffered);
    ReadResult read_target(std::string_view buffered);
    ReadResult read_version(std::string_view buffered, Request& out);
    errc finish(std::string_view buffered, Request& out);
};

/// Reads heads of answers, as strictly: an endpoint's output is not trusted either. Interim answers (1xx) are complete
/// heads with no body; read on behind them. No blank line is skipped, HTTP/0.9 is refused.
class ResponseReader : private HeadScanner {
 public:
    explicit ResponseReader(const Limits& limits = response_limits) : HeadScanner(limits) {}
    /// `request_method` is what the answer answers: HEAD means no body.
    ReadResult read(std::string_view buffered, Method request_method, Response& out);
    bool begun() const { return step_ != Step::start; }

 private:
    ReadResult read_line(std::string_view buffered, Response& out);
    ReadResult read_status(std::string_view buffered, Response& out);
    ReadResult read_reason(std::string_view buffered);
    errc finish(std::string_view buffered, Method request_method, Response& out);
};

}  // namespace edgeproxy::http
