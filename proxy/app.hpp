// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "upstream/control/channel.hpp"

namespace edgeproxy::proxy {

/// Runs the proxy process until the master lets it go: `channel` is its end of the control channel. Follows the
/// sequence described in upstream/control/message.hpp. Returns the exit code.
int run_proxy(control::Channel channel);

}  // namespace edgeproxy::proxy
