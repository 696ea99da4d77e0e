// SPDX-License-Identifier: Apache-2.0
// House: pools whose workers follow the files (`watch`).
#include <fmt/format.h>

#include "upstream/master/house.hpp"

namespace edgeproxy::master {

void House::start_watches() {
    watches_.clear();
    for (const auto& crew : fleet_.crews()) {
        const config::Pool& pool = crew->pool();
        if (crew->retired() || pool.command.watch.empty()) continue;
        auto watch = std::make_unique<Watch>(
            loop_, log_, pool.command.working_dir, pool.command.watch,
            [this, name = pool.name](const std::vector<std::string>& files) { files_changed(name, files); });
        std::string error;
        if (!watch->start(error)) {
            log_.error("watch_failed", fmt::format("pool {}: {}; changes are not seen", pool.name, error));
            continue;
        }
        log_.info("watching", fmt::format("pool {}: changes below {} replace its workers ({} folders)", pool.name,
                                          pool.command.working_dir, watch->folders()));
        watches_.push_back(std::move(watch));
    }
}

void House::files_changed(const std::string& pool, const std::vector<std::string>& files) {
    Crew* const crew = fleet_.find(pool);
    if (phase_ != Phase::running || crew == nullptr) return;
    log_.info("files_changed", fmt::format("{} changed: pool {} starts anew", describe_files(files), pool),
              {{"pool", pool}, {"files", files.size()}});
    crew->renew();
}

}  // namespace edgeproxy::master
