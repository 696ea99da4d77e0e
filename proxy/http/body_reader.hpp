// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/message.hpp"
#include "proxy/http/trailers.hpp"

namespace edgeproxy::http {

/// What one call of BodyReader::next found.
struct BodyStep {
    std::size_t consumed = 0;  ///< bytes of `in` that are done with
    std::string_view data;     ///< body bytes, a view into `in`; may be empty
    bool done = false;         ///< the body is complete; what follows `consumed` belongs to somebody else
    errc error = errc::ok;     ///< the message is broken: close the connection, and never end the copy cleanly
};

/// Takes the framing off a body that arrives in any cuts (RFC 9112, section 7.1). Small; lives in a coroutine's frame.
///
/// Chunk sizes have 1 to 15 hex digits; extensions are bounded and dropped; line ends are CRLF only; trailers are
/// parsed as strictly as fields. The same verdict for every cut.
class BodyReader {
 public:
    BodyReader() = default;
    /// `trailers` (may be null: they are checked and dropped) is cleared, and must outlive the body.
    explicit BodyReader(const Body& body, Trailers* trailers = nullptr) { start(body, trailers); }
    void start(const Body& body, Trailers* trailers = nullptr);

    /// Looks at the next bytes. One run of data at most comes back a call, with the framing around it consumed; call
    /// again with the rest while there is any and it is neither done nor broken. A body of no bytes is done at once:
    /// ask `done`.
    BodyStep next(std::string_view in);
    /// The stream has ended: is the body complete by that? True when done, or delimited by the end; else
    /// errc::truncated.
    bool complete_at_eof() const { return done() || kind_ == Body::Kind::until_close; }
    bool done() const { return step_ == Step::done; }

    /// How many data bytes must come before any framing does; for splicing. UINT64_MAX for until_close.
    std::uint64_t run() const;
    /// Counts `n` data bytes, at most run(), that went past without `next`. May make the body done.
    void skip(std::uint64_t n);

 private:
    /// Where in `;name=value` or `;name="value"` the chunk line is (RFC 9112, section 7.1.1, without blanks).
    enum class Ext : std::uint8_t { name_first, name, value_first, value, quoted, escaped, quoted_end };
    enum class Step : std::uint8_t {
        data,
        size_first,
        size,
        ext,
        size_lf,
        data_cr,
        data_lf,
        trailer_first,
        trailer_name,
        trailer_value,
        trailer_lf,
        end_lf,
        done,
        failed
    };
    errc framing(char c);
    errc chunk_line(char c);
    errc extension(char c);
    errc end_of_extension(char c);
    errc trailer_name(char c);
    errc trailer_value(char c);
    errc keep(char c);
    errc end_of_size();
    errc end_of_trailer();
    errc expect(char c, char wanted, Step next);

    std::uint64_t left_ = 0;
    Trailers* trailers_ = nullptr;
    Body::Kind kind_ = Body::Kind::none;
    Step step_ = Step::done;
    Ext ext_ = Ext::name_first;
    errc error_ = errc::ok;
    std::uint8_t digits_ = 0;
    std::uint16_t chunk_ext_ = 0, body_ext_ = 0;
    std::uint16_t trailer_bytes_ = 0, trailer_name_ = 0, trailer_count_ = 0;
};

}  // namespace edgeproxy::http
