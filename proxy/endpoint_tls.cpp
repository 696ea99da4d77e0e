// SPDX-License-Identifier: Apache-2.0
#include "proxy/endpoint_tls.hpp"

#include <algorithm>
#include <stdexcept>

namespace edgeproxy::proxy {
namespace {

/// Hands out the texts in their order.
class Texts {
 public:
    explicit Texts(const std::map<control::KeyId, tls::Pem>& pems) : pems_(pems) {}
    tls::ClientSettings settings_of(const config::PoolTls& wanted) {
        tls::ClientSettings settings;
        settings.insecure = wanted.insecure;
        if (!wanted.ca.empty()) settings.roots = next().chain;
        if (!wanted.cert.empty()) settings.own = next();
        settings.own.name.clear();
        return settings;
    }

 private:
    const tls::Pem& next() {
        const auto found = pems_.find({control::endpoint_keys, next_++});
        if (found == pems_.end()) throw std::runtime_error("a certificate did not arrive");
        return found->second;
    }
    const std::map<control::KeyId, tls::Pem>& pems_;
    std::uint32_t next_ = 0;
};

bool is_https(const config::Endpoint& endpoint) {
    return endpoint.scheme == config::Scheme::https;
}

}  // namespace

upstream::Pools::Tls EndpointTls::load(const config::Config& config, const std::map<control::KeyId, tls::Pem>& pems,
                                       config::Log& log) {
    AllMade all;
    upstream::Pools::Tls result;
    Texts texts(pems);  // as Config::endpoint_files has them
    for (const config::Pool& pool : config.pools) {
        const tls::ClientSettings settings = texts.settings_of(pool.tls);
        const bool shared = std::any_of(pool.endpoints.begin(), pool.endpoints.end(),
                                        [](const auto& one) { return is_https(one) && !one.tls; });
        const Context context = shared ? make(pool, {}, settings, all, log) : nullptr;
        upstream::TlsOfPool contexts;
        for (const config::Endpoint& endpoint : pool.endpoints) {
            if (!endpoint.tls) {
                contexts.push_back(is_https(endpoint) ? context : nullptr);
                continue;
            }
            tls::ClientSettings own = texts.settings_of(*endpoint.tls);
            contexts.push_back(is_https(endpoint) ? make(pool, endpoint.name, std::move(own), all, log) : nullptr);
        }
        result[pool.name] = std::move(contexts);
    }
    made_ = std::move(all);
    return result;
}

EndpointTls::Context EndpointTls::make(const config::Pool& pool, const std::string& endpoint,
                                       tls::ClientSettings settings, AllMade& all, config::Log& log) {
    const std::string who = "pool " + pool.name + (endpoint.empty() ? "" : ", endpoint " + endpoint);
    if (settings.insecure)
        log.warn("endpoint_tls_insecure", who + ": the endpoints' certificates are not verified (tls.insecure)");
    Made& made = all[{pool.name, endpoint}];
    const auto before = made_.find({pool.name, endpoint});
    if (before != made_.end() && before->second.settings == settings) {
        made = before->second;
    } else {
        auto context = tls::ClientContext::load(settings);
        if (!context) throw std::runtime_error(who + ", tls: " + context.error().message);
        made = {std::move(settings), std::move(*context)};
    }
    return made.context;
}

}  // namespace edgeproxy::proxy
