// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/exchange.hpp"
#include "proxy/http1_client.hpp"

namespace edgeproxy::proxy {

/// Joins a client and an endpoint after a verified switch of protocols, byte for byte in both directions, until both
/// have ended, one breaks, or no byte went either way for `idle`. The end of one side is passed on to the other
/// (half-close). All parameters outlive the task.
io::Task<void> run_tunnel(io::Reactor& reactor, Exchange& client, Http1Client& endpoint,
                          upstream::UpstreamConnection& connection, io::Duration idle);

}  // namespace edgeproxy::proxy
