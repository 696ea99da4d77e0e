// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace edgeproxy::http {

/// Error codes of RFC 9113, section 7, that we send.
enum class Http2Code : std::uint32_t {
    no_error = 0,
    protocol_error = 1,
    internal_error = 2,
    flow_control_error = 3,
    settings_timeout = 4,
    stream_closed = 5,
    refused_stream = 7,
    cancel = 8,
    enhance_your_calm = 11
};

}  // namespace edgeproxy::http
