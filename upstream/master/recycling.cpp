// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/recycling.hpp"

#include <algorithm>
#include <cmath>

namespace edgeproxy::master {

Recycling::Recycling(const config::Recycle& limits, double draw) {
    now_.most_memory = limits.memory;
    const double share = 1.0 - static_cast<double>(limits.jitter) / 100.0 * (draw + 1.0) / 2.0;
    const auto scaled = [share](double whole) { return std::max(1.0, std::round(whole * share)); };
    if (limits.requests > 0)
        now_.most_requests = static_cast<std::uint64_t>(scaled(static_cast<double>(limits.requests)));
    if (limits.lifetime.count() > 0)
        now_.longest = config::Duration(std::llround(scaled(static_cast<double>(limits.lifetime.count()))));
}

void Recycling::counted(std::uint64_t requests) {
    if (requests < now_.latest) now_.before += now_.latest;
    now_.latest = requests;
}

Recycling::Due Recycling::due(io::TimePoint started, io::TimePoint now) const {
    if (now_.most_requests > 0 && requests() >= now_.most_requests) return Due::requests;
    if (now_.longest.count() > 0 && now - started >= now_.longest) return Due::lifetime;
    if (now_.most_memory > 0 && now_.rss >= now_.most_memory) return Due::memory;
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
