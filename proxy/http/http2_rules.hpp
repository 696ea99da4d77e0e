// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "proxy/http/fields.hpp"

// What fields of HTTP/2 must be, whichever way they go (RFC 9113, section 8.2).
namespace edgeproxy::http {

/// A token without capitals.
bool is_lower_token(std::string_view name);
/// A field value without blanks around it.
bool is_clean_value(std::string_view value);
/// A field that speaks of the connection, which no HTTP/2 message may have (section 8.2.2).
bool is_connection_specific(FieldId id, std::string_view value);

}  // namespace edgeproxy::http
