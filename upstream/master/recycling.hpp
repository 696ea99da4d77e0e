// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "config/config.hpp"
#include "tls/io/clock.hpp"

namespace edgeproxy::master {

/// When one incarnation has served long enough (`recycle`). Pure; made when it starts.
///
/// Requests and lifetime are shortened by a share of `jitter` that is drawn once, so that workers that started together
/// do not come due together.
class Recycling {
 public:
    enum class Due : std::uint8_t { no, requests, lifetime, memory };

    Recycling() = default;
    /// `draw`: evenly from -1 to 1.
    Recycling(const config::Recycle& limits, double draw);

    /// The proxy's count, once a second. A proxy that was started later counts from nought again.
    void counted(std::uint64_t requests);
    void measured(std::uint64_t rss_bytes) { now_.rss = rss_bytes; }
    Due due(io::TimePoint started, io::TimePoint now) const;
    std::uint64_t requests() const { return now_.before + now_.latest; }

    /// Of this incarnation, with its jitter; 0 = no limit.
    std::uint64_t most_requests() const { return now_.most_requests; }
    config::Duration longest() const { return now_.longest; }

    /// Its limits and its counts.
    struct Memory {
        std::uint64_t most_requests = 0, most_memory = 0;
        config::Duration longest{};
        std::uint64_t before = 0, latest = 0;  ///< counted by earlier proxies, and by this one
        std::uint64_t rss = 0;
        bool operator==(const Memory&) const = default;
    };
    const Memory& memory() const { return now_; }
    void recall(const Memory& memory) { now_ = memory; }

 private:
    Memory now_;
};

/// "it had 10240 requests", "it is as old as it may be", "it holds more memory than it may".
const char* word(Recycling::Due due);

}  // namespace edgeproxy::master
