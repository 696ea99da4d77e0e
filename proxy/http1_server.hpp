// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/connection.hpp"

namespace edgeproxy::proxy {

/// Serves HTTP/1.x on one client's connection until either side ends it (RFC 9112).
///
/// Requests are answered one at a time, in order; pipelined bytes wait in the buffer. Between two requests it holds no
/// buffer. A malformed request is answered and the connection closed. `connection` outlives the task. Never fails.
io::Task<void> serve_http1(Connection& connection);

/// Answers 400 in the clear to a client that spoke HTTP to a TLS port.
io::Task<void> refuse_plain_http(Connection& connection);
/// Answers 400 to a trusted proxy that did not begin with a PROXY header.
io::Task<void> refuse_proxy_header(Connection& connection);

}  // namespace edgeproxy::proxy
