// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_server.hpp"

#include "proxy/http2_connection.hpp"

namespace edgeproxy::proxy {

io::Task<void> serve_http2(Connection& connection) {
    Http2Connection served{connection};
    co_await served.run();
}

}  // namespace edgeproxy::proxy
