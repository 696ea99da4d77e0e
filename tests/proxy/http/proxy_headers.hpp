// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace edgeproxy::http::test {

/// A PROXY header of version 2: `command` with the version, `family` with the transport, then addresses and TLVs.
inline std::string v2(int command, int family, const std::string& body) {
    std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
    for (const int byte : {command, family, static_cast<int>(body.size() >> 8), static_cast<int>(body.size() & 0xff)})
        bytes += static_cast<char>(byte);
    return bytes + body;
}

}  // namespace edgeproxy::http::test
