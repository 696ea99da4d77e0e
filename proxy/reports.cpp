// SPDX-License-Identifier: Apache-2.0
#include "proxy/reports.hpp"

#include <nghttp2/nghttp2ver.h>
#include <openssl/opensslv.h>

#include <algorithm>
#include <boost/version.hpp>

namespace edgeproxy::proxy {

using std::chrono::duration_cast;
using std::chrono::seconds;

Reports::Reports(const Running& running) : running_(running) {}

void Reports::serve(boost::asio::io_context& io, std::vector<control::ListenerSocket>& sockets) {
    if (!running_.config->metrics.enabled || server_) return;
    const bool sent = std::any_of(sockets.begin(), sockets.end(), [](const auto& socket) {
        return socket.name == control::metrics_listener && socket.fd;
    });
    if (!sent) return;  // another process answers there for now
    metrics_ = std::make_unique<admin::Metrics>(sources());
    server_ = std::make_unique<admin::Server>(io, answers());
    for (control::ListenerSocket& socket : sockets) {
        if (socket.name == control::metrics_listener && socket.fd) server_->listen(std::move(socket.fd));
    }
}

admin::Answers Reports::answers() {
    admin::Answers answers;
    answers.metrics_path = running_.config->metrics.path;
    answers.metrics = [this] { return metrics_->scrape(); };
    answers.live = [this] { return admin::loops_turn(running_.lanes->cells(), std::chrono::steady_clock::now()); };
    answers.readiness = [this] { return readiness(); };
    return answers;
}

void Reports::follow() {
    if (server_) server_->set_answers(answers());
}

void Reports::leave() {
    if (server_) server_->leave();
}

void Reports::stop() {
    if (server_) server_->stop();
}

admin::Readiness Reports::readiness() const {
    admin::Conditions conditions;
    conditions.configured = running_.serving;
    conditions.listeners_bound = running_.serving && !running_.doors_closed;
    conditions.draining = running_.draining;
    conditions.loops_turn = admin::loops_turn(running_.lanes->cells(), std::chrono::steady_clock::now());
    for (const config::Pool& pool : running_.config->pools) {
        admin::PoolCondition condition;
        condition.name = pool.name;
        const PoolDesk& desk = running_.desks.at(pool.name);
        condition.required = pool.required && !desk.late;
        for (const upstream::EndpointStatus& endpoint : running_.pools->roster(pool.name)->status()) {
            ++condition.endpoints;
            if (endpoint.state == upstream::EndpointState::ready) ++condition.ready;
        }
        condition.reason = desk.notes.get().reason;
        conditions.pools.push_back(std::move(condition));
    }
    return admin::judge(conditions);
}

std::vector<admin::PoolSample> Reports::pools() const {
    std::vector<admin::PoolSample> samples;
    for (const upstream::Pools::Entry* entry : running_.pools->all()) {
        const config::Pool* pool = running_.config->find_pool(entry->pool.name());
        const bool managed = pool != nullptr && pool->managed;
        samples.push_back(
            admin::sample(entry->pool, *entry->roster, managed ? &running_.desks.at(pool->name).starts : nullptr));
    }
    return samples;
}

std::vector<admin::CertificateSample> Reports::certificates() const {
    std::vector<admin::CertificateSample> all;
    if (!running_.identities) return all;
    const auto sets = running_.config->tls_sets();
    for (std::size_t set = 0; set < running_.identities->size(); ++set) {
        const auto& identities = (*running_.identities)[set];
        if (identities) add_certificates(*identities, sets[set]->dev, all);
    }
    return all;
}

void Reports::add_certificates(const tls::Identities& identities, bool dev,
                               std::vector<admin::CertificateSample>& all) {
    for (const tls::CertificateInfo& info : identities.infos()) {
        if (info.subject.empty()) continue;
        const auto not_after = duration_cast<seconds>(info.not_after.time_since_epoch()).count();
        const auto stapled_until = duration_cast<seconds>(info.stapled_until.time_since_epoch()).count();
        all.push_back(
            {info.names.empty() ? info.subject : info.names.front(), dev ? "dev" : "file", not_after, stapled_until});
    }
}

admin::MetricSources Reports::sources() {
    admin::MetricSources sources;
    sources.build = {EDGEPROXY_VERSION, "", "g++ " __VERSION__, OPENSSL_VERSION_TEXT, NGHTTP2_VERSION,
                     BOOST_LIB_VERSION};
    sources.start_time = running_.started_at;
    sources.master = [this] { return running_.master; };
    sources.registry = &running_.registry;
    sources.lanes = running_.lanes->cells();
    sources.ready = [this] { return readiness().ready; };
    sources.config_hash = [this] { return running_.config_hash; };
    sources.pools = [this] { return pools(); };
    sources.workers = [this] {
        std::vector<control::WorkerUsage> all;
        for (const auto& [key, usage] : running_.usages) all.push_back(usage);
        return all;
    };
    sources.certificates = [this] { return certificates(); };
    sources.keys_replaced = [this] { return running_.keys_replaced; };
    sources.keys_refused = [this] { return running_.keys_refused; };
    sources.admin_refused = [this] { return server_ ? server_->refused() : admin::AdminRefusals{}; };
    sources.overload = [this] { return running_.overload->sample(); };
    sources.access_dropped = [this] { return running_.log_writer->access_dropped(); };
    sources.log_dropped = [this] { return running_.log_writer->log_dropped(); };
    return sources;
}

}  // namespace edgeproxy::proxy
