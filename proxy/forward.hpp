// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/connection.hpp"
#include "proxy/exchange.hpp"

namespace edgeproxy::proxy {

/// The heart: sends an exchange's request to an endpoint of the route's pool and relays the answer, piece by piece, in
/// both directions at once.
///
/// Gets a place (waiting in the pool's line if it must), a kept or fresh connection, sends, reads the head of the
/// answer; a failed attempt is repeated where `retry` allows; then relays the answer. When nothing can be relayed it
/// answers locally. Whatever happens, the exchange is answered or aborted when it returns.
io::Task<void> forward(Connection& client, Exchange& exchange, const RoutePlan& plan, Workspace& workspace);

}  // namespace edgeproxy::proxy
