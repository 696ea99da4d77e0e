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
    if (key_watch_->interval().count() == 0) return;
    keys_timer_.expires_after(wait);
    keys_timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        look_at_keys();
        const milliseconds usual = key_watch_->interval();
        watch_keys(key_watch_->unsettled() ? std::min(settle, usual) : usual);
    });
}

void House::look_at_keys() {
    // One offer at a time, and only to a proxy that serves.
    if (!proxy_.is_ready() || !offered_keys_.empty() || phase_ != Phase::running) return;
    control::KeysChanged told{keys_number_ + 1, 0, {}};
    for (KeyWatch::Change& change : key_watch_->look()) {
        if (!change.error.empty()) {
            ++told.unreadable;
            log_.error("certificate_refused", change.error + "; still serving what was read before");
            continue;
        }
        if (change.gone) {
            told.gone.push_back(change.id);
        } else {
            proxy_.send(Resources::key_material(change.id, change.files));
        }
        offered_keys_.insert_or_assign(change.id, std::move(change));
    }
    if (told.unreadable == 0 && offered_keys_.empty()) return;
    keys_number_ = told.number;
    proxy_.send(std::move(told));
}

void House::keys_result(const control::KeysResult& result) {
    if (result.number != keys_number_) return;
    for (const control::KeyRefusal& refusal : result.refused) {
        const auto offered = offered_keys_.find(refusal.id);
        if (offered == offered_keys_.end()) continue;
        const bool old = resources_.keys.contains(refusal.id);
        log_.error("certificate_refused", fmt::format("certificate {}: {}; {}", offered->second.name, refusal.why,
                                                      old ? "still serving the old one" : "it is not served"));
        if (offered->second.gone) key_watch_->keep(refusal.id, offered->second.name);
        offered_keys_.erase(offered);
    }
    for (auto& [id, change] : offered_keys_) {
        if (change.gone) {
            if (resources_.keys.erase(id) == 0) continue;  // it never could be served
            log_.info("certificate_removed", fmt::format("certificate {} is served no more", change.name));
            continue;
        }
        const bool old = resources_.keys.contains(id);
        resources_.keys[id] = std::move(change.files);
        log_.info(old ? "certificate_reloaded" : "certificate_added",
                  fmt::format("certificate {} is served {}", change.name, old ? "anew" : "from now on"));
    }
    for (const std::string& warning : result.warnings) log_.warn("certificate_warning", warning);
    offered_keys_.clear();
}

/// The configuration was reloaded, its certificates read with it.
void House::follow_keys() {
    key_watch_.emplace(*config_, resources_.keys);
    offered_keys_.clear();
    ++keys_number_;  // an answer that is under way is about what is no more
    keys_timer_.cancel();
    watch_keys(key_watch_->interval());
}

/// A proxy that died with an offer: its successor gets what was accepted, and then the offer.
void House::offer_keys_again() {
    for (const auto& [id, change] : offered_keys_) {
        if (change.gone) {
            resources_.keys.erase(id);
        } else {
            key_watch_->forget(id);
        }
    }
    offered_keys_.clear();
}

}  // namespace edgeproxy::master
