// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "config/config.hpp"
#include "upstream/master/listen.hpp"

namespace edgeproxy::master {

/// What is served, for a person at a terminal: listeners, certificates, pools, metrics. Some lines, each with its line
/// end.
std::string banner(const config::Config& config, const std::string& config_name,
                   const std::vector<ListenSocket>& sockets);

}  // namespace edgeproxy::master
