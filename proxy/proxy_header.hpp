// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/connection.hpp"

namespace edgeproxy::proxy {

/// Reads the PROXY header that a trusted proxy must begin its connection with, before TLS, within
/// `timeouts.proxy_protocol`: from then on the connection stands for the client that it names, and counts for that
/// source. Not one byte beyond the header is taken.
///
/// False: the connection is over. A header that is malformed is answered 400 where no TLS is spoken.
io::Task<bool> take_proxy_header(Connection& connection);

}  // namespace edgeproxy::proxy
