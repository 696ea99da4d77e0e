// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "config/config.hpp"
#include "config/log.hpp"
#include "tls/client_context.hpp"
#include "upstream/control/message.hpp"
#include "upstream/pools.hpp"

namespace edgeproxy::proxy {

/// Makes TLS towards endpoints of what pools are configured with. Control thread.
class EndpointTls {
 public:
    /// `pems`: the texts of `Config::endpoint_files`, by index in `control::endpoint_keys`. What has not changed since
    /// the last call is given again, so that a reload keeps the connections. Warns of `insecure`, each time. Throws
    /// std::runtime_error with the pool and the reason when a certificate cannot be used.
    upstream::Pools::Tls load(const config::Config& config, const std::map<control::KeyId, tls::Pem>& pems,
                              config::Log& log);

 private:
    using Context = std::shared_ptr<const tls::ClientContext>;
    struct Made {
        tls::ClientSettings settings;
        Context context;
    };
    using AllMade = std::map<std::pair<std::string, std::string>, Made>;  ///< by pool and endpoint, or none

    Context make(const config::Pool& pool, const std::string& endpoint, tls::ClientSettings settings, AllMade& all,
                 config::Log& log);

    AllMade made_;
};

}  // namespace edgeproxy::proxy
