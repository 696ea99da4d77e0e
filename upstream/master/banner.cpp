// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/banner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "config/text.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::master {
namespace {

// Where a listener really is: with port 0 the kernel chose.
std::string addresses_of(const std::string& name, const std::vector<ListenSocket>& sockets) {
    std::vector<std::string> out;
    for (const ListenSocket& socket : sockets) {
        const std::string text = socket.address.to_string();
        if (socket.name == name && std::find(out.begin(), out.end(), text) == out.end()) out.push_back(text);
    }
    return fmt::format("{}", fmt::join(out, "  "));
}

std::string protocols_of(const config::Listener& listener) {
    if (listener.redirect_https) return "redirects to https";
    std::string out;
    for (const config::Protocol protocol : listener.protocols) {
        out += out.empty() ? "" : " ";
        out += protocol == config::Protocol::h2 ? "h2" : "http/1.1";
    }
    return out;
}

std::string workers_of(const config::Pool& pool) {
    if (!pool.managed) {
        const std::string first = pool.endpoints.empty() ? "" : pool.endpoints.front().address.to_string();
        return fmt::format("{}  {}{}", config::counted(pool.endpoints.size(), "endpoint"), first,
                           pool.endpoints.size() > 1 ? " ..." : "");
    }
    return fmt::format("{}  {}", config::counted(pool.workers, "worker"), fmt::join(pool.command.argv, " "));
}

// The authority lies beside the certificate.
std::string dev_certificate_of(const config::Tls& tls) {
    if (tls.certificates.empty()) return "self-signed development certificate";
    const std::string& cert = tls.certificates.front().cert;
    return fmt::format("development certificate: curl --cacert {}/ca.pem, or edgeproxy cert trust",
                       cert.substr(0, cert.rfind('/')));
}

}  // namespace

std::string banner(const config::Config& config, const std::string& config_name,
                   const std::vector<ListenSocket>& sockets) {
    std::string out = fmt::format("edgeproxy {}  pid {}  {}  {}\n", EDGEPROXY_VERSION, ::getpid(), config_name,
                                  config::counted(config.server.threads, "thread"));
    const char* title = "listen";
    for (const config::Listener& listener : config.listeners) {
        out += fmt::format("  {:<8} {:<6} {}  {}\n", title, listener.tls ? "https" : "http",
                           addresses_of(listener.name, sockets), protocols_of(listener));
        title = "";
    }
    if (config.tls.dev) out += fmt::format("  {:<8} {}\n", "tls", dev_certificate_of(config.tls));
    title = "tls";
    for (const config::Certificate& certificate : config.tls.certificates) {
        if (config.tls.dev) break;
        out += fmt::format("  {:<8} {}  {}\n", title, certificate.cert, fmt::join(certificate.hosts, ", "));
        title = "";
    }
    if (!config.tls.dir.empty()) out += fmt::format("  {:<8} {}/\n", title, config.tls.dir);
    std::size_t widest = 0;
    for (const config::Pool& pool : config.pools) widest = std::max(widest, pool.name.size());
    title = "pools";
    for (const config::Pool& pool : config.pools) {
        out += fmt::format("  {:<8} {:<{}}  {}\n", title, pool.name, widest, workers_of(pool));
        title = "";
    }
    if (config.metrics.enabled) {
        out += fmt::format("  {:<8} http://{}{}\n", "metrics", addresses_of(control::metrics_listener, sockets),
                           config.metrics.path);
    }
    return out + "\n";
}

}  // namespace edgeproxy::master
