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

/// Makes a Request of the fields of one HTTP/2 header block (RFC 9113, section 8.3), as strictly as HTTP/1.1 is read.
///
/// Counts before it copies: a block that unpacks to far more than was sent costs no memory. What is above a limit is
/// counted and left out, and `finish` tells why. Cookie crumbs are joined again (section 8.2.3). Every text of the
/// request lies in the memory that the owner gives; it holds none itself.
class Http2Head {
 public:
    static constexpr std::size_t max_crumbs = 256;         ///< Cookie fields of a head; they do not count as fields
    static constexpr std::size_t flood = 4;                ///< so many times a limit is no mistake any more
    static constexpr std::size_t field_overhead = 32;      ///< what a field costs besides its bytes (section 6.5.2)
    static constexpr std::size_t most_fields_of_ours = 2;  ///< what we add ourselves

    enum class Taken : std::uint8_t {
        ok,         ///< noted, or ignored because a limit was passed
        full,       ///< there is no room: `move_to` more memory, or `refuse`, and add it again
        malformed,  ///< the stream is to be reset with PROTOCOL_ERROR
        flood       ///< the stream is to be reset
    };

    /// `request` is reset; it, `memory` and `limits` must outlive the request's use.
    void begin(Request& request, std::span<char> memory, const Limits& limits);
    /// The next field as the decoder gives it. Names in lower case (or it is malformed).
    Taken add(std::string_view name, std::string_view value);
    /// Continues in a larger memory; the old one is free afterwards.
    void move_to(std::span<char> larger);
    /// The request will be answered with `error`, whatever follows.
    void refuse(errc error) {
        if (error_ == errc::ok) error_ = error;
    }
    /// The block is complete: all checks of a request. `ended`: no body follows.
    errc finish(bool ended);
    /// For a WebSocket (RFC 8441), which has no key of its own: the one for the endpoint. 24 characters that outlive
    /// the request.
    void give_websocket_key(std::string_view key);

    /// How the body of the request is delimited, once `finish` was ok.
    const Body& body() const { return request_->body; }

 private:
    std::string_view store(std::string_view text);
    std::string_view* pseudo_place(std::string_view name);
    Taken add_pseudo(std::string_view name, std::string_view value);
    Taken add_field(std::string_view name, std::string_view value);
    void add_cookie(std::string_view value);
    bool join_cookies();
    errc apply_pseudo();
    errc apply_authority();
    errc apply_websocket(bool ended);
    errc apply_body(bool ended);

    Request* request_ = nullptr;
    const Limits* limits_ = nullptr;
    std::span<char> memory_;
    std::size_t used_ = 0;
    std::size_t total_ = 0, lines_ = 0;  // of everything, ignored or not
    std::size_t bytes_ = 0;              // of the fields, as limits count them
    std::size_t fields_ = 0, crumbs_ = 0;
    std::string_view method_, scheme_, authority_, path_, protocol_;
    errc error_ = errc::ok;
};

}  // namespace edgeproxy::http
