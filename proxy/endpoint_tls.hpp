// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>

#include "config/config.hpp"
#include "config/log.hpp"
#include "tls/client_context.hpp"
#include "upstream/pools.hpp"

namespace edgeproxy::proxy {

/// Makes TLS towards endpoints of what pools are configured with. Control thread.
class EndpointTls {
 public:
    /// `pems`: the texts of `Config::key_files`, by index. What has not changed since the last call is given again, so
    /// that a reload keeps the connections. Warns of `insecure`, each time. Throws std::runtime_error with the pool and
    /// the reason when a certificate cannot be used.
    upstream::Pools::Tls load(const config::Config& config, const std::map<std::uint32_t, tls::Pem>& pems,
                              config::Log& log);

 private:
    struct Made {
        tls::ClientSettings settings;
        upstream::TlsOfPool context;
    };
    std::map<std::string, Made> made_;  ///< by pool
};

}  // namespace edgeproxy::proxy
