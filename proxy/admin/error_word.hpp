// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "upstream/error.hpp"

namespace edgeproxy::admin {

/// The one word for what went wrong with an endpoint or a pool: the token of RFC 9209, section 2.3, where there is one,
/// else our own name. The same in the access log's `error`, the label `reason` and Proxy-Status. Static storage.
std::string_view error_word(upstream::errc error);

}  // namespace edgeproxy::admin
