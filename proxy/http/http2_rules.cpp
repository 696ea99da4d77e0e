// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_rules.hpp"

#include <algorithm>

#include "proxy/http/scan.hpp"

namespace edgeproxy::http {

bool is_lower_token(std::string_view name) {
    const char* const end = name.data() + name.size();
    if (scan::name_end(name.data(), end) != end && !is_token(name)) return false;
    return !name.empty() && std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_clean_value(std::string_view value) {
    if (value.empty()) return true;
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    if (blank(value.front()) || blank(value.back())) return false;
    const char* const end = value.data() + value.size();
    return scan::value_end(value.data(), end) == end || is_field_value(value);
}

bool is_connection_specific(FieldId id, std::string_view value) {
    switch (id) {
        case FieldId::connection:
        case FieldId::keep_alive:
        case FieldId::proxy_connection:
        case FieldId::transfer_encoding:
        case FieldId::upgrade:
            return true;
        case FieldId::te:
            return !iequals(value, "trailers");
        default:
            return false;
    }
}

}  // namespace edgeproxy::http
