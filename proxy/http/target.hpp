// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/http/authority.hpp"
#include "proxy/http/error.hpp"
#include "proxy/http/message.hpp"

namespace edgeproxy::http {

/// A request target taken apart; views into the text it was parsed from (or "/").
struct Target {
    std::string_view target;  ///< what is forwarded: origin-form, or "*"
    std::string_view path;
    std::string_view query;
    bool has_query = false;
    bool absolute = false;
    std::string_view scheme;          ///< absolute-form: "http" or "https" in any case
    std::string_view authority_text;  ///< absolute-form: host[:port] as written
    Authority authority;              ///< absolute-form: the same taken apart
};

/// The strict parser of request targets (RFC 9112, section 3.2): origin-form; absolute-form with http or https; "*"
/// with OPTIONS. In the path refused: bytes outside visible ASCII, '#', backslash, an escape that is not %hh, and an
/// escaped control (%00-%1F, %7F). In the query: bytes outside visible ASCII and '#'. errc::bad_target, or
/// errc::bad_host for an absolute-form with a bad authority. `raw` must not be empty.
errc parse_target(std::string_view raw, Method method, Target& out);
/// The parts of it. Where a valid path at the beginning of `text` (which begins with '/') ends: at '?' or at its end;
/// npos if it is not valid.
std::size_t path_size(std::string_view text);
bool is_valid_query(std::string_view query);
/// Begins with '/', and is valid to its end.
bool is_valid_path(std::string_view path);

/// How a server behind us may read a path. Bits; `canonical` is what we route on.
enum PathReading : unsigned {
    canonical = 0,       ///< unreserved characters decoded, dot segments resolved, hex digits in upper case
    all_decoded = 1,     ///< every escape decoded once, as applications do; %5C is read as '/'
    slashes_merged = 2,  ///< runs of '/' read as one
    parameters_cut = 4,  ///< each segment read up to its ';'
    dots_kept = 8,       ///< dot segments not resolved
    every_reading = 15
};

/// Has `path` (valid, or "*") only one reading, itself? Then nothing needs to be copied. True for almost all paths.
bool has_one_reading(std::string_view path);

/// Writes one reading of a valid path into `buffer`, which holds at least path.size() bytes, and returns it as a view
/// of the buffer. Never longer than `path`; begins with '/'. canonical(canonical(p)) == canonical(p).
std::string_view read_path(std::string_view path, unsigned reading, std::span<char> buffer);

/// Which bits of PathReading would change something in `path`: the readings worth computing are the subsets of it.
unsigned readings_of(std::string_view path);

/// Do all readings of `path`, the raw bytes among them, lead to the same place? `decide` maps a path to something
/// comparable (a route); `buffer` holds at least path.size() bytes. A target for which this is false is refused with
/// 400, so that no rule is walked around by a spelling that the application undoes.
template <class Decide>
bool all_readings_agree(std::string_view path, std::span<char> buffer, Decide&& decide) {
    if (has_one_reading(path)) return true;
    const auto first = decide(path);
    const unsigned bits = readings_of(path);
    for (unsigned reading = 0; reading <= every_reading; ++reading) {
        if ((reading & ~bits) != 0) continue;
        if (!(decide(read_path(path, reading, buffer)) == first)) return false;
    }
    return true;
}

}  // namespace edgeproxy::http
