// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <vector>

#include "proxy/admin/server.hpp"
#include "proxy/running.hpp"

namespace edgeproxy::proxy {

/// What the proxy tells the outside about itself: metrics, liveness, readiness, over the admin server. Control thread.
class Reports {
 public:
    /// `running` must outlive it and have its lanes and pools.
    explicit Reports(const Running& running);

    /// Serves on the sockets among `sockets` that are the metrics listener's, if the configuration wants it. Nothing
    /// happens when there are none yet, or it serves already.
    void serve(boost::asio::io_context& io, std::vector<control::ListenerSocket>& sockets);
    /// The configuration was reloaded.
    void follow();
    /// Another proxy process answers from now on: takes no newcomers.
    void leave();
    void stop();

 private:
    admin::Answers answers();
    admin::MetricSources sources();
    admin::Readiness readiness() const;
    std::vector<admin::PoolSample> pools() const;
    std::vector<admin::CertificateSample> certificates() const;
    static void add_certificates(const tls::Identities& identities, bool dev,
                                 std::vector<admin::CertificateSample>& all);

    const Running& running_;
    std::unique_ptr<admin::Metrics> metrics_;
    std::unique_ptr<admin::Server> server_;
};

}  // namespace edgeproxy::proxy
