// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

/// The body that goes out on one stream, whichever side sends it: what is not in the output yet. Heads are not counted
/// here. The memory is the stream's owner's, and must stay until `taken`.
struct Http2Outgoing {
    std::string_view data;
    std::span<const Field> trailers;  ///< behind it
    bool last = false;                ///< nothing follows `data` and `trailers`
    bool ended = false;               ///< our END_STREAM went into the output

    /// `more_trailers` only with `end`.
    void put(std::string_view more, bool end, std::span<const Field> more_trailers) {
        data = more;
        last = end;
        if (end) trailers = more_trailers;
    }
    /// What was to be sent is not sent any more.
    void drop() {
        data = {};
        trailers = {};
    }
    bool taken() const { return data.empty() && trailers.empty() && (!last || ended); }
};

}  // namespace edgeproxy::http
