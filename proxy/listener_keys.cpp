// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener_keys.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "config/key_pairs.hpp"
#include "upstream/control/channel.hpp"

namespace edgeproxy::proxy {
namespace {

std::string text_of(const io::UniqueFd& fd) {
    if (!fd) return {};
    auto read = control::read_sealed(fd, config::largest_pem);
    return read ? std::move(*read) : std::string();
}

using BySet = std::map<std::uint32_t, std::vector<tls::Replacement>>;

/// New contents first, so that the last certificate may go when another one comes.
BySet sort_out(std::map<control::KeyId, tls::Pem>& pems, const control::KeysChanged& changed) {
    BySet fresh;
    for (auto& [id, pem] : pems) fresh[id.set].push_back({id.index, std::move(pem), false});
    for (const control::KeyId& id : changed.gone) fresh[id.set].push_back({id.index, {}, true});
    return fresh;
}

}  // namespace

void ListenerKeys::take(const control::KeyMaterial& material) {
    pems_[material.id] = {
        text_of(material.cert),       text_of(material.key),      text_of(material.ocsp), text_of(material.client_ca),
        text_of(material.client_crl), text_of(material.password), material.name};
}

void ListenerKeys::forget() {
    for (auto& [id, pem] : pems_) tls::cleanse(pem);
    pems_.clear();
}

std::shared_ptr<const TlsSets> ListenerKeys::load(const config::Config& config, const tls::TicketKeys& tickets) {
    const auto sets = config.tls_sets();
    auto all = std::make_shared<TlsSets>(sets.size());
    bool any = false;
    for (const config::Listener& listener : config.listeners) {
        const std::size_t set = config.tls_set_of(listener);
        if (!listener.tls || (*all)[set]) continue;
        (*all)[set] = load_set(*sets[set], static_cast<std::uint32_t>(set), tickets);
        any = true;
    }
    forget();
    return any ? std::shared_ptr<const TlsSets>(std::move(all)) : nullptr;
}

std::shared_ptr<const tls::Identities> ListenerKeys::load_set(const config::Tls& tls, std::uint32_t set,
                                                              const tls::TicketKeys& tickets) {
    std::vector<tls::Pem> pems;
    if (tls.dev && tls.certificates.empty()) {  // there is no place to keep one
        if (!dev_) dev_ = tls::dev_certificate(std::chrono::system_clock::now());
        pems.push_back(*dev_);
    } else {
        pems.resize(tls.certificates.size());
        for (auto& [id, pem] : pems_) {
            if (id.set != set) continue;
            if (id.index >= pems.size()) pems.resize(id.index + 1);
            pems[id.index] = std::move(pem);
        }
    }
    auto identities = tls::Identities::load(tls, pems, tickets);
    for (tls::Pem& pem : pems) tls::cleanse(pem);
    if (identities) return *identities;
    const tls::CertificateError& error = identities.error();
    throw std::runtime_error("certificate " + (error.name.empty() ? tls.dir : error.name) + ": " + error.message);
}

ListenerKeys::Replaced ListenerKeys::replace(const std::shared_ptr<const TlsSets>& now,
                                             const control::KeysChanged& changed) {
    Replaced out{nullptr, {changed.number, {}, {}}};
    auto sets = std::make_shared<TlsSets>(now ? *now : TlsSets{});
    for (auto& [set, replacements] : sort_out(pems_, changed)) {
        std::vector<tls::CertificateError> refused;
        const bool known = set < sets->size() && (*sets)[set];
        if (const auto next = known ? (*sets)[set]->replaced(replacements, refused) : nullptr) (*sets)[set] = next;
        for (const tls::CertificateError& error : refused)
            out.result.refused.push_back({{set, static_cast<std::uint32_t>(error.index)}, error.message});
        for (tls::Replacement& one : replacements) {
            tls::cleanse(one.pem);
            const bool kept_old =
                std::any_of(refused.begin(), refused.end(), [&](const auto& r) { return r.index == one.index; });
            if (kept_old) continue;
            ++out.replaced;
            if (one.gone || !known) continue;
            const tls::CertificateInfo& info = (*sets)[set]->infos()[one.index];
            for (const std::string& warning : info.warnings)
                out.result.warnings.push_back("certificate " + info.subject + ": " + warning);
        }
    }
    forget();
    out.refused = out.result.refused.size();
    if (now && out.replaced > 0) out.sets = std::move(sets);
    return out;
}

}  // namespace edgeproxy::proxy
