// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

namespace edgeproxy::admin {

/// Appends a query string with the values of token, key, password, secret, code and signature shown as `***`; of names
/// that end so behind `_`, `-` or `.` too (`access_token`; not `zip_code`). Names are compared without regard to case
/// and percent-encoding, up to a '['. Pairs end at `&` or `;`.
void append_redacted_query(std::string& out, std::string_view query);

/// The same for what follows the first '?' of a reference (Referer); what stands before "@" in its authority is hidden.
void append_redacted_reference(std::string& out, std::string_view reference);

}  // namespace edgeproxy::admin
