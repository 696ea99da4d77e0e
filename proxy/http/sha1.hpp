// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace edgeproxy::http {

/// SHA-1 (FIPS 180-4, section 6.1). It is broken as a signature; RFC 6455 wants it only to tell a WebSocket server from
/// others, which is all it is used for here. OpenSSL stays out of this folder.
std::array<std::uint8_t, 20> sha1(std::string_view text);

}  // namespace edgeproxy::http
