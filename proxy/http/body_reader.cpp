// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/body_reader.hpp"

#include <algorithm>
#include <limits>

#include "proxy/http/limits.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {

namespace {
constexpr std::uint8_t most_size_digits = 15;  // 60 bits: no sum of a size and a count can overflow
}

void BodyReader::start(const Body& body, Trailers* trailers) {
    *this = BodyReader{};
    kind_ = body.kind;
    trailers_ = trailers;
    if (trailers_) trailers_->clear();
    switch (body.kind) {
        case Body::Kind::none:
            break;
        case Body::Kind::length:
            left_ = body.length;
            step_ = left_ == 0 ? Step::done : Step::data;
            break;
        case Body::Kind::chunked:
            step_ = Step::size_first;
            break;
        case Body::Kind::until_close:
            left_ = std::numeric_limits<std::uint64_t>::max();
            step_ = Step::data;
            break;
    }
}

BodyStep BodyReader::next(std::string_view in) {
    BodyStep out;
    std::size_t at = 0;
    while (at < in.size() && step_ != Step::done && step_ != Step::failed) {
        if (step_ == Step::data) {
            if (!out.data.empty()) break;  // one run a call
            out.data = in.substr(at, static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - at)));
            at += out.data.size();
            skip(out.data.size());
            continue;
        }
        error_ = framing(in[at++]);
        if (error_ != errc::ok) step_ = Step::failed;
    }
    out.consumed = at;
    out.done = done();
    out.error = error_;
    return out;
}

std::uint64_t BodyReader::run() const {
    return step_ == Step::data ? left_ : 0;
}

void BodyReader::skip(std::uint64_t n) {
    if (kind_ == Body::Kind::until_close) return;
    left_ -= n;
    if (left_ == 0) step_ = kind_ == Body::Kind::length ? Step::done : Step::data_cr;
}

errc BodyReader::expect(char c, char wanted, Step next) {
    if (c != wanted) return step_ < Step::trailer_first ? errc::bad_chunk : errc::bad_trailer;
    step_ = next;
    return errc::ok;
}

errc BodyReader::framing(char c) {
    switch (step_) {
        case Step::size_first:
        case Step::size:
            return chunk_line(c);
        case Step::ext:
            return extension(c);
        case Step::size_lf:
            return c == '\n' ? end_of_size() : errc::bad_chunk;
        case Step::data_cr:
            return expect(c, '\r', Step::data_lf);
        case Step::data_lf:
            return expect(c, '\n', Step::size_first);
        case Step::trailer_first:
            return c == '\r' ? expect(c, '\r', Step::end_lf) : trailer_name(c);
        case Step::trailer_name:
            return trailer_name(c);
        case Step::trailer_value:
            return trailer_value(c);
        case Step::trailer_lf:
            return c == '\n' ? end_of_trailer() : errc::bad_trailer;
        case Step::end_lf:
            return expect(c, '\n', Step::done);
        case Step::data:
        case Step::done:
        case Step::failed:
            break;
    }
    return errc::bad_chunk;
}

errc BodyReader::chunk_line(char c) {
    if (step_ == Step::size_first) left_ = digits_ = 0;
    const int digit = hex_value(c);
    if (digit >= 0) {
        if (digits_++ == most_size_digits) return errc::bad_chunk;
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        step_ = Step::size;
        return errc::ok;
    }
    if (digits_ == 0) return errc::bad_chunk;
    if (c == ';') chunk_ext_ = 0;
    return end_of_extension(c);
}

// What may stand behind the size, or behind a whole extension.
errc BodyReader::end_of_extension(char c) {
    if (c != ';') return expect(c, '\r', Step::size_lf);
    step_ = Step::ext;
    ext_ = Ext::name_first;
    const bool fits = ++chunk_ext_ <= max_chunk_ext && ++body_ext_ <= max_body_ext;
    return fits ? errc::ok : errc::chunk_ext_too_long;
}

// Counted from the semicolon on, and dropped. Strict all the same: where a parser loses its way in one, a chunk that it
// does not see may begin.
errc BodyReader::extension(char c) {
    const bool token = is_char(c, char_token);
    bool right = token;
    switch (ext_) {
        case Ext::name_first:
            ext_ = Ext::name;
            break;
        case Ext::name:
            if (c == ';' || c == '\r') return end_of_extension(c);
            right = token || c == '=';
            if (c == '=') ext_ = Ext::value_first;
            break;
        case Ext::value_first:
            right = token || c == '"';
            ext_ = c == '"' ? Ext::quoted : Ext::value;
            break;
        case Ext::value:
            if (c == ';' || c == '\r') return end_of_extension(c);
            break;
        case Ext::quoted:
            right = is_char(c, char_value);
            if (c == '"') ext_ = Ext::quoted_end;
            if (c == '\\') ext_ = Ext::escaped;
            break;
        case Ext::escaped:
            right = is_char(c, char_value);
            ext_ = Ext::quoted;
            break;
        case Ext::quoted_end:
            return end_of_extension(c);
    }
    if (!right) return errc::bad_chunk;
    const bool fits = ++chunk_ext_ <= max_chunk_ext && ++body_ext_ <= max_body_ext;
    return fits ? errc::ok : errc::chunk_ext_too_long;
}

errc BodyReader::end_of_size() {
    step_ = left_ == 0 ? Step::trailer_first : Step::data;
    return errc::ok;
}

errc BodyReader::keep(char c) {
    if (trailer_bytes_++ == max_trailer_bytes) return errc::trailer_too_large;
    return trailers_ == nullptr || trailers_->append(c) ? errc::ok : errc::trailer_too_large;
}

errc BodyReader::trailer_name(char c) {
    if (step_ == Step::trailer_first) {
        if (trailer_count_++ == max_trailer_fields) return errc::trailer_too_large;
        trailer_name_ = 0;
        step_ = Step::trailer_name;
    }
    if (c == ':' && trailer_name_ > 0) {
        step_ = Step::trailer_value;
        return errc::ok;
    }
    if (!is_char(c, char_token)) return errc::bad_trailer;
    if (trailer_name_++ == max_trailer_name) return errc::trailer_too_large;
    return keep(c);
}

errc BodyReader::trailer_value(char c) {
    if (c == '\r') return expect(c, '\r', Step::trailer_lf);
    return is_char(c, char_value) ? keep(c) : errc::bad_trailer;
}

errc BodyReader::end_of_trailer() {
    step_ = Step::trailer_first;
    return trailers_ == nullptr || trailers_->commit(trailer_name_) ? errc::ok : errc::trailer_too_large;
}

}  // namespace edgeproxy::http
