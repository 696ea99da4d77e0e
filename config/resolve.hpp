// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "config/config.hpp"

namespace edgeproxy::config {

/// Fills in what one part of the plan means for another: `tls: dev` binds loopback, a redirect knows its port, a pool
/// takes the server's user, an endpoint its pool's limit, routes get names. Says nothing about what is wrong.
void resolve(Config& config);

}  // namespace edgeproxy::config
