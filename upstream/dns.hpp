// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/address.hpp"
#include "tls/io/clock.hpp"

namespace edgeproxy::upstream {

/// What a name stands for at the moment.
struct Resolved {
    std::vector<config::Address> addresses;  ///< literals, IPv4 and IPv6, port 0, sorted, each once
    std::string error;                       ///< why there is none; empty on success
};

/// Asks the system's resolver. Blocks for as long as that takes (many seconds at worst): never on a reactor.
Resolved resolve(const std::string& host);

/// When each name is to be resolved again. Pure: tells what is due, is told what came of it.
class NameSchedule {
 public:
    static constexpr io::Duration refresh = std::chrono::seconds(30);  ///< after a success
    static constexpr io::Duration retry = std::chrono::seconds(5);     ///< after a failure

    /// Exactly these names from now on; new ones are due at once.
    void set(const std::set<std::string>& hosts);
    /// The names to resolve now; each is not due again until `answered`.
    std::vector<std::string> due(io::TimePoint now);
    void answered(const std::string& host, bool success, io::TimePoint now);

 private:
    std::map<std::string, io::TimePoint> next_;  ///< `never` while it is being asked
};

}  // namespace edgeproxy::upstream
