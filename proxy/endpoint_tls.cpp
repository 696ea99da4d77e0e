// SPDX-License-Identifier: Apache-2.0
#include "proxy/endpoint_tls.hpp"

#include <algorithm>
#include <stdexcept>

namespace edgeproxy::proxy {
namespace {

const tls::Pem& text_at(const std::map<std::uint32_t, tls::Pem>& pems, std::uint32_t index) {
    const auto found = pems.find(index);
    if (found == pems.end()) throw std::runtime_error("a certificate did not arrive");
    return found->second;
}

bool has_https(const config::Pool& pool) {
    return std::any_of(pool.endpoints.begin(), pool.endpoints.end(),
                       [](const auto& endpoint) { return endpoint.scheme == config::Scheme::https; });
}

}  // namespace

upstream::Pools::Tls EndpointTls::load(const config::Config& config, const std::map<std::uint32_t, tls::Pem>& pems,
                                       config::Log& log) {
    std::map<std::string, Made> all;
    upstream::Pools::Tls result;
    auto next = static_cast<std::uint32_t>(config.tls.certificates.size());  // as Config::key_files has them
    for (const config::Pool& pool : config.pools) {
        tls::ClientSettings settings;
        settings.insecure = pool.tls.insecure;
        if (!pool.tls.ca.empty()) settings.roots = text_at(pems, next++).chain;
        if (!pool.tls.cert.empty()) settings.own = text_at(pems, next++);
        if (!has_https(pool)) continue;
        if (settings.insecure)
            log.warn("endpoint_tls_insecure",
                     "pool " + pool.name + ": the endpoints' certificates are not verified (tls.insecure)");
        const auto before = made_.find(pool.name);
        Made made;
        if (before != made_.end() && before->second.settings == settings) {
            made = before->second;
        } else {
            auto context = tls::ClientContext::load(settings);
            if (!context) throw std::runtime_error("pool " + pool.name + ", tls: " + context.error().message);
            made = {std::move(settings), std::move(*context)};
        }
        result[pool.name] = made.context;
        all[pool.name] = std::move(made);
    }
    made_ = std::move(all);
    return result;
}

}  // namespace edgeproxy::proxy
