// SPDX-License-Identifier: Apache-2.0
#include "proxy/respond/grpc.hpp"

#include <algorithm>

namespace edgeproxy::respond {

bool is_grpc(std::string_view content_type) {
    constexpr std::string_view name = "application/grpc";
    if (content_type.size() < name.size()) return false;
    const bool same = std::equal(name.begin(), name.end(), content_type.begin(), [](char lower, char c) {
        return lower == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    });
    if (!same || content_type.size() == name.size()) return same;
    const char next = content_type[name.size()];
    return next == '+' || next == ';' || next == ' ';
}

std::string_view grpc_status(unsigned http_status) {
    switch (http_status) {
        case 400:
        case 500:
            return "13";  // INTERNAL
        case 403:
            return "7";  // PERMISSION_DENIED
        case 404:
        case 405:
        case 501:
            return "12";  // UNIMPLEMENTED
        case 408:
        case 504:
            return "4";  // DEADLINE_EXCEEDED
        case 413:
        case 414:
        case 429:
        case 431:
            return "8";  // RESOURCE_EXHAUSTED
        case 421:
        case 502:
        case 503:
            return "14";  // UNAVAILABLE
        default:
            return "2";  // UNKNOWN
    }
}

}  // namespace edgeproxy::respond
