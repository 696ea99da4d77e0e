// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/metrics.hpp"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <utility>

#include "proxy/admin/families.hpp"
#include "proxy/admin/process_metrics.hpp"

namespace edgeproxy::admin {

class Metrics::Collector final : public prometheus::Collectable {
 public:
    explicit Collector(MetricSources sources) : sources_(std::move(sources)), process_start_(read_process_start()) {}

    std::vector<prometheus::MetricFamily> Collect() const override {
        Families families;
        add_program(families);
        add_admin(families);
        add_process(families);
        add_proxy_families(families, sources_);
        add_upstream_families(families, sources_);
        return families.finish();
    }

 private:
    void add_program(Families& families) const {
        const BuildInfo& build = sources_.build;
        families
            .gauge("edgeproxy_build_info", "What this program was made of.",
                   {"version", "revision", "compiler", "openssl", "nghttp2", "boost"})
            .add({build.version, build.revision, build.compiler, build.openssl, build.nghttp2, build.boost}, 1);
        families.gauge("edgeproxy_start_time_seconds", "Start of edgeproxy, Unix time.")
            .add({}, static_cast<double>(sources_.start_time));
        if (sources_.ready)
            families.gauge("edgeproxy_ready", "1 while /readyz says so.").add({}, sources_.ready() ? 1 : 0);
        if (sources_.config_hash) {
            families.gauge("edgeproxy_config_info", "The configuration in force.", {"hash"})
                .add({sources_.config_hash()}, 1);
        }
        if (sources_.master) add_master(families);
        add_certificates(families);
        Family& dropped = families.counter("edgeproxy_log_messages_dropped_total",
                                           "Log lines lost: full ring, full disk or a slow reader.", {"log"});
        if (sources_.access_dropped) dropped.add({"access"}, static_cast<double>(sources_.access_dropped()));
        if (sources_.log_dropped) dropped.add({"main"}, static_cast<double>(sources_.log_dropped()));
    }

    void add_certificates(Families& families) const {
        if (!sources_.certificates) return;
        Family& not_after = families.gauge("edgeproxy_tls_certificate_not_after_timestamp_seconds",
                                           "End of a certificate's validity, Unix time.", {"name", "source"});
        // Several of one name (RSA and ECDSA): the first to expire counts.
        std::map<std::pair<std::string, std::string>, std::int64_t> earliest;
        for (const CertificateSample& certificate : sources_.certificates()) {
            const auto [found, fresh] =
                earliest.try_emplace({certificate.name, certificate.source}, certificate.not_after);
            if (!fresh) found->second = std::min(found->second, certificate.not_after);
        }
        for (const auto& [labels, end] : earliest) {
            not_after.add({labels.first, labels.second}, static_cast<double>(end));
        }
        Family& stapled = families.gauge("edgeproxy_tls_ocsp_next_update_timestamp_seconds",
                                         "End of the OCSP answer that is stapled, Unix time.", {"name"});
        for (const CertificateSample& certificate : sources_.certificates()) {
            if (certificate.stapled_until != 0)
                stapled.add({certificate.name}, static_cast<double>(certificate.stapled_until));
        }
        if (!sources_.keys_replaced || !sources_.keys_refused) return;
        Family& reloads =
            families.counter("edgeproxy_tls_certificate_reloads_total",
                             "Certificates that changed on disk; refused = the old one stays.", {"result"});
        reloads.add({"ok"}, static_cast<double>(sources_.keys_replaced()));
        reloads.add({"refused"}, static_cast<double>(sources_.keys_refused()));
    }

    void add_admin(Families& families) const {
        if (!sources_.admin_refused) return;
        Family& refused = families.counter("edgeproxy_admin_requests_refused_total",
                                           "Requests to the metrics listener that were refused.", {"reason"});
        const AdminRefusals counts = sources_.admin_refused();
        for (std::size_t i = 0; i < admin_refusals; ++i)
            refused.add({word(static_cast<AdminRefusal>(i))}, static_cast<double>(counts[i]));
    }

    void add_process(Families& families) const {
        const ProcessUsage usage = read_process_usage();
        families.counter("process_cpu_seconds_total", "CPU time of the proxy process.").add({}, usage.cpu_seconds);
        families.gauge("process_resident_memory_bytes", "Resident memory of the proxy process.")
            .add({}, static_cast<double>(usage.resident_bytes));
        families.gauge("process_open_fds", "Open descriptors of the proxy process.")
            .add({}, static_cast<double>(usage.open_fds));
        families.gauge("process_max_fds", "Limit of open descriptors.").add({}, static_cast<double>(usage.max_fds));
        families.gauge("process_start_time_seconds", "Start of the proxy process, Unix time.").add({}, process_start_);
    }

    /// What the master counts: reloads, and who was turned away at its control socket.
    void add_master(Families& families) const {
        static_assert(control::reload_results == control::upgrade_results);
        constexpr std::array<const char*, control::reload_results> results{"ok", "refused", "failed"};
        constexpr std::array<const char*, control::control_refusals> reasons{"too_many", "not_allowed", "malformed",
                                                                             "too_late", "unread"};
        const control::MasterStatus master = sources_.master();
        Family& reloads =
            families.counter("edgeproxy_config_reloads_total", "Reloads of the configuration.", {"result"});
        for (std::size_t i = 0; i < results.size(); ++i)
            reloads.add({results[i]}, static_cast<double>(master.reloads[i]));
        families.gauge("edgeproxy_config_last_reload_successful", "1 unless the last reload was refused or failed.")
            .add({}, master.last_ok ? 1 : 0);
        families
            .gauge("edgeproxy_config_last_reload_success_timestamp_seconds",
                   "When the configuration in force became it, Unix time.")
            .add({}, static_cast<double>(master.last_ok_at));
        Family& upgrades = families.counter("edgeproxy_upgrades_total", "Upgrades of the binary.", {"result"});
        for (std::size_t i = 0; i < results.size(); ++i)
            upgrades.add({results[i]}, static_cast<double>(master.upgrades[i]));
        Family& refused = families.counter("edgeproxy_control_refused_total",
                                           "Clients of the control socket that were turned away.", {"reason"});
        for (std::size_t i = 0; i < reasons.size(); ++i)
            refused.add({reasons[i]}, static_cast<double>(master.refused[i]));
        add_scales(families, master.scales);
    }

    static void add_scales(Families& families, const std::vector<control::PoolScale>& scales) {
        Family& wanted = families.gauge("edgeproxy_pool_workers_wanted", "Workers that a pool should have.", {"pool"});
        Family& least = families.gauge("edgeproxy_pool_workers_min", "Fewest workers, by autoscaling.", {"pool"});
        Family& most = families.gauge("edgeproxy_pool_workers_max", "Most workers, by autoscaling.", {"pool"});
        Family& pinned = families.gauge("edgeproxy_pool_workers_pinned",
                                        "1 while the number was set by hand, until the next reload.", {"pool"});
        Family& decisions =
            families.counter("edgeproxy_pool_autoscale_decisions_total",
                             "What autoscaling did or could not do, by reason.", {"pool", "decision", "reason"});
        for (const control::PoolScale& scale : scales) {
            wanted.add({scale.pool}, scale.wanted);
            pinned.add({scale.pool}, scale.pinned ? 1 : 0);
            if (scale.max == 0) continue;
            least.add({scale.pool}, scale.min);
            most.add({scale.pool}, scale.max);
            for (std::size_t i = 0; i < control::scale_decisions; ++i) {
                const auto decision = static_cast<control::ScaleDecision>(i);
                decisions.add({scale.pool, control::direction(decision), control::reason(decision)},
                              static_cast<double>(scale.decisions[i]));
            }
        }
    }

    const MetricSources sources_;
    const double process_start_;
};

Metrics::Metrics(MetricSources sources) : collector_(std::make_unique<Collector>(std::move(sources))) {}

Metrics::~Metrics() = default;

std::string Metrics::scrape() const {
    return prometheus::TextSerializer{}.Serialize(collector_->Collect());
}

}  // namespace edgeproxy::admin
