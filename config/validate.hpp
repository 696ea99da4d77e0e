// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "config/section.hpp"

/// What no single key can be blamed for: rules between the parts of the plan. Each reports all that it finds.
namespace edgeproxy::config {

/// Everything below.
void validate(const Config& config, Scope& scope);

void validate_listeners(const Config& config, Scope& scope);
void validate_tls(const Config& config, Scope& scope);
void validate_pools(const Config& config, Scope& scope);
void validate_routes(const Config& config, Scope& scope);

/// Whether every request that `second` takes is already taken by `first`, which stands before it. Says false when in
/// doubt.
bool covers(const Route& first, const Route& second);

/// RFC 9110, section 5.6.2.
bool is_token(std::string_view text);

}  // namespace edgeproxy::config
