// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "tls/windows.hpp"
#include "upstream/lease.hpp"

namespace edgeproxy::upstream {

/// Connects to the endpoint by `deadline`, TLS handshake included. Counts it. `windows` are the reactor's.
///
/// `http1_only`: a WebSocket handshake, which goes over HTTP/1.1 whatever else the endpoint speaks.
/// errors   connect_refused (also: the socket file is gone), connect_timeout, connect_failed, cancelled; with TLS also
///          tls_*, certificate_*, no_http2. A full backlog of a unix socket is tried again until the deadline.
io::Task<Result<std::unique_ptr<UpstreamConnection>>> connect(Endpoint& endpoint, tls::Windows& windows,
                                                              PoolCells& cells, io::TimePoint deadline,
                                                              bool http1_only);

}  // namespace edgeproxy::upstream
