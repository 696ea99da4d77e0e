// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/fields.hpp"
#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// A body, or why there can be none.
struct Framing {
    errc error = errc::ok;
    Body body;
};

/// Decides where the body of a request ends (RFC 9112, section 6.3), the one place for it:
/// Content-Length once and 0|[1-9][0-9]{0,17}; Transfer-Encoding once, the single token `chunked`, never on HTTP/1.0 or
/// HTTP/2; never both. Nothing is mended. On HTTP/2 Kind::none means "no Content-Length": the caller knows END_STREAM.
Framing request_framing(const Fields& fields, Version version);

/// The same for an answer to `request_method`. 1xx, 204, 304 and answers to HEAD have no body whatever they announce,
/// yet what they announce is checked as strictly.
Framing response_framing(const Fields& fields, unsigned status, Method request_method, Version version);

/// A Content-Length by its grammar, or nothing.
std::optional<std::uint64_t> parse_length(std::string_view text);

}  // namespace edgeproxy::http
