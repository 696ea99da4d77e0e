// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

/// Text from the network, or from a worker, made harmless: whatever bytes come in, one line of printable UTF-8 comes
/// out.
namespace edgeproxy::config {

/// Appends `text` for people: controls (C0, DEL, C1), line and paragraph separators, direction overrides and bytes that
/// are no UTF-8 (RFC 3629) become `\xHH` byte by byte, a backslash `\\`.
void append_plain(std::string& out, std::string_view text);

/// Appends `text` as the inside of a JSON string (RFC 8259): quotes and backslashes escaped, controls as above
/// `\u00HH`, bytes that are no UTF-8 as the four characters `\xHH`.
void append_json(std::string& out, std::string_view text);

/// The same with its quotes.
std::string json_string(std::string_view text);

/// Appends `text` as nginx writes a variable: `"`, `\`, controls and everything from 0x7f `\xHH`; `-` for empty.
void append_nginx(std::string& out, std::string_view text);

}  // namespace edgeproxy::config
