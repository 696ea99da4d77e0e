// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/connection.hpp"
#include "proxy/exchange.hpp"

namespace edgeproxy::proxy {

/// Answers one exchange whose head is read: identifies the client, chooses the route, does its action (forward,
/// redirect, respond or a local reply), then counts it and writes its log line. `workspace` belongs to the exchange.
/// Never fails.
io::Task<void> dispatch(Connection& connection, Exchange& exchange, Workspace& workspace);

/// What the access log is to say of an exchange whose request is here still.
admin::ExchangeRecord describe(const Connection& connection, const Exchange& exchange, const Workspace& workspace);

/// Answers an exchange whose head is malformed, and counts and logs it. Nothing of it went anywhere.
io::Task<void> refuse(Connection& connection, Exchange& exchange, Workspace& workspace, http::errc error);
/// The same for another reason that is known before a route is (408 on a slow head ...).
struct Reason;
io::Task<void> refuse(Connection& connection, Exchange& exchange, Workspace& workspace, const Reason& why);

}  // namespace edgeproxy::proxy
