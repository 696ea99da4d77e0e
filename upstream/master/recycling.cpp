// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/recycling.hpp"

#include <algorithm>
#include <cmath>

namespace edgeproxy::master {

Recycling::Recycling(const config::Recycle& limits, double draw) : most_memory_(limits.memory) {
    const double share = 1.0 - static_cast<double>(limits.jitter) / 100.0 * (draw + 1.0) / 2.0;
    const auto scaled = [share](double whole) { return std::max(1.0, std::round(whole * share)); };
    if (limits.requests > 0) most_requests_ = static_cast<std::uint64_t>(scaled(static_cast<double>(limits.requests)));
    if (limits.lifetime.count() > 0)
        longest_ = config::Duration(std::llround(scaled(static_cast<double>(limits.lifetime.count()))));
}

void Recycling::counted(std::uint64_t requests) {
    if (requests < latest_) before_ += latest_;
    latest_ = requests;
}

Recycling::Due Recycling::due(io::TimePoint started, io::TimePoint now) const {
    if (most_requests_ > 0 && requests() >= most_requests_) return Due::requests;
    if (longest_.count() > 0 && now - started >= longest_) return Due::lifetime;
    if (most_memory_ > 0 && rss_ >= most_memory_) return Due::memory;
    return Due::no;
}

const char* word(Recycling::Due due) {
    switch (due) {
        case Recycling::Due::no:
            return "it may go on";
        case Recycling::Due::requests:
            return "it has served its number of requests";
        case Recycling::Due::lifetime:
            return "it is as old as it may become";
        case Recycling::Due::memory:
            return "it holds more memory than it may";
    }
    return "";
}

}  // namespace edgeproxy::master
