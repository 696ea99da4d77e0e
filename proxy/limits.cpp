// SPDX-License-Identifier: Apache-2.0
#include "proxy/limits.hpp"

#include <algorithm>
#include <chrono>

#include "config/host.hpp"

namespace edgeproxy::proxy {
namespace {

constexpr std::chrono::seconds silence{10};

}  // namespace

void Limits::configure(const config::Config& config) {
    configured_ = config.server.max_connections;
    files_ = config::open_file_limit();
    const auto limit = [](unsigned configured) { return configured > 0 ? configured : no_limit; };
    per_source_.store(limit(config.limits.connections_per_source), std::memory_order_relaxed);
    streams_per_source_.store(limit(config.limits.streams_per_source), std::memory_order_relaxed);
    requests_.set_rate(config.limits.requests_per_source);
    look_at_files();
}

void Limits::look_at_files() {
    const std::uint64_t files = std::min<std::uint64_t>(config::open_file_limit(), 1 << 30);
    const int kept = static_cast<int>(std::min<std::uint64_t>(reserve, files / 4));
    client_ceiling_.store(static_cast<int>(files) - kept, std::memory_order_relaxed);
    endpoint_ceiling_.store(static_cast<int>(files) - kept / 2, std::memory_order_relaxed);
    // Somebody took descriptors away: clients have four of ten of what is left, as by default.
    const std::size_t left = files < files_ ? static_cast<std::size_t>(files / 10 * 4) : configured_;
    const std::size_t most = std::max<std::size_t>(1, std::min(configured_, left));
    const bool lowered = most < most_.exchange(most, std::memory_order_relaxed) && files < files_;
    if (lowered)
        log_.warn("connection_limit", "the limit of open files was lowered; fewer clients are let in",
                  {{"limit", files}, {"connections", most}});
}

void Limits::tell_descriptors_gone() {
    const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
    std::int64_t told = told_.load(std::memory_order_relaxed);
    if (told != 0 && now - told < std::chrono::nanoseconds(silence).count()) return;
    if (!told_.compare_exchange_strong(told, now, std::memory_order_relaxed)) return;
    log_.warn("descriptors_gone", "no descriptor is left for a connection; clients wait",
              {{"limit", config::open_file_limit()}, {"connections", open()}});
}

bool Limits::Seat::belongs_to(const SourceKey& source) {
    if (limits_ == nullptr || source_) return true;
    // Counted without a limit as well: a reload may bring one.
    const unsigned most = limits_->per_source_.load(std::memory_order_relaxed);
    streams_ = limits_->sources_.enter(source, most);
    if (streams_ == nullptr) return false;
    source_ = source;
    return true;
}

void Limits::Seat::leave() {
    if (limits_ == nullptr) return;
    if (source_) limits_->sources_.leave(*source_);
    limits_->open_.fetch_sub(1, std::memory_order_relaxed);
    limits_ = nullptr;
    source_.reset();
    streams_ = nullptr;
}

}  // namespace edgeproxy::proxy
