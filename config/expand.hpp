// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::config {

/// Gives the value of a variable, or nothing when it is not set.
using Lookup = std::function<std::optional<std::string>(const std::string&)>;

struct Expanded {
    std::string text;
    bool changed = false;                 ///< at least one variable stood in it: `text` may be a secret
    std::vector<std::string> complaints;  ///< `variable X is not set`; without values
};

/// Puts variables into a text: `${VAR}`, `${VAR:-default}` (also when empty), `${VAR:?why it must be set}`; `$$` is a
/// dollar, any other
/// `$` stays. Defaults may hold variables again. Values are not expanded a second time.
Expanded expand(std::string_view text, const Lookup& lookup);

/// The byte at which `text` stops being UTF-8 without control characters (but line ends and tabs); npos when it never
/// does.
std::size_t first_bad_byte(std::string_view text);

}  // namespace edgeproxy::config
