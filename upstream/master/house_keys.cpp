// SPDX-License-Identifier: Apache-2.0
// The house: certificates whose files change while they are served.
#include <fmt/format.h>

#include "upstream/master/house.hpp"

namespace edgeproxy::master {
namespace {

/// Between two looks at files that are changing.
constexpr milliseconds settle{200};

}  // namespace

void House::watch_keys(milliseconds wait) {
    if (config_->tls.reload.count() == 0 || config_->tls.certificates.empty()) return;
    keys_timer_.expires_after(wait);
    keys_timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        look_at_keys();
        const milliseconds usual = config_->tls.reload;
        watch_keys(key_watch_->unsettled() ? std::min(settle, usual) : usual);
    });
}

void House::look_at_keys() {
    // One offer at a time, and only to a proxy that serves.
    if (!proxy_.is_ready() || !offered_keys_.empty() || phase_ != Phase::running) return;
    std::uint32_t unreadable = 0;
    for (KeyWatch::Change& change : key_watch_->look()) {
        if (!change.error.empty()) {
            ++unreadable;
            log_.error("certificate_refused", change.error + "; still serving what was read before");
            continue;
        }
        proxy_.send(Resources::key_material(change.index, change.files));
        offered_keys_[change.index] = std::move(change.files);
    }
    if (unreadable > 0 || !offered_keys_.empty()) proxy_.send(control::KeysChanged{++keys_number_, unreadable});
}

void House::keys_result(const control::KeysResult& result) {
    if (result.number != keys_number_) return;
    for (const control::KeyRefusal& refusal : result.refused) {
        if (offered_keys_.erase(refusal.index) == 0) continue;
        log_.error("certificate_refused", fmt::format("certificate {}: {}; still serving the old one",
                                                      config_->tls.certificates[refusal.index].cert, refusal.why));
    }
    for (auto& [index, files] : offered_keys_) {
        resources_.keys[index] = std::move(files);
        log_.info("certificate_reloaded",
                  fmt::format("certificate {} is served anew", config_->tls.certificates[index].cert));
    }
    for (const std::string& warning : result.warnings) log_.warn("certificate_warning", warning);
    offered_keys_.clear();
}

/// The configuration was reloaded, its certificates read with it.
void House::follow_keys() {
    key_watch_.emplace(config_->tls, resources_.keys);
    offered_keys_.clear();
    ++keys_number_;  // an answer that is under way is about what is no more
    keys_timer_.cancel();
    watch_keys(config_->tls.reload);
}

/// A proxy that died with an offer: its successor gets what was accepted, and then the offer.
void House::offer_keys_again() {
    for (const auto& [index, files] : offered_keys_) key_watch_->forget(index);
    offered_keys_.clear();
}

}  // namespace edgeproxy::master
