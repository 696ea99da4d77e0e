// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_server.hpp"
namespace edgeproxy::proxy {
io::Task<void> serve_http2(Connection&) {
    co_return;
}
}  // namespace edgeproxy::proxy
