// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace edgeproxy::respond {

/// What an error page says.
struct ErrorPage {
    unsigned status = 500;
    std::string_view title;            ///< the reason phrase
    std::string_view sentence;         ///< one sentence that a person can act on
    std::string_view error;            ///< the reason word, also in the log and the metrics
    std::string_view request_id;       ///< may be empty
    std::vector<std::string> details;  ///< a worker's last lines; empty unless `error_pages.details`
};

struct Page {
    std::string_view content_type;
    std::string body;
};

/// The format that `accept` (the value of the field, may be empty) asks for: HTML for browsers, problem+json for JSON,
/// else text. Of two the one of more weight, then the first.
config::PageFormat choose_format(config::PageFormat configured, std::string_view accept);

/// Renders it: HTML, `application/problem+json` (RFC 9457) or text. Everything that is not ours is escaped. `format`
/// must not be `automatic`.
Page render(const ErrorPage& page, config::PageFormat format);

}  // namespace edgeproxy::respond
