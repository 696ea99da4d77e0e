// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/connection.hpp"

namespace edgeproxy::proxy {

/// Serves HTTP/2 on one client's connection until either side ends it (RFC 9113).
///
/// One coroutine a stream, each an Exchange like any other. `connection` outlives the task. Never fails.
io::Task<void> serve_http2(Connection& connection);

}  // namespace edgeproxy::proxy
