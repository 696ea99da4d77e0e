// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace edgeproxy::cli {

/// The machine as the check sees it; the defaults are this process.
struct Machine {
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
    unsigned uid = 0;              ///< who would start the workers
    std::string search_path;       ///< PATH for programs without a slash
    std::uint64_t open_files = 0;  ///< the hard limit that workers inherit; 0 = not looked at
    std::vector<unsigned> cpus{};  ///< those that we may run on; empty = not looked at

    std::string
        termination_grace{};  ///< EDGEPROXY_TERMINATION_GRACE: after which the platform kills us; empty = not told

    static Machine here();
};

/// What a plan needs of the machine and does not find: certificates that cannot be read or do not fit their keys,
/// users, groups, programs, directories. Opens no port, starts nothing. `file` is the configuration's name; `places`
/// are those of LoadResult, so that a problem points at the value. Sorted by place.
///
/// rules  no-file, bad-certificate, no-user, no-group, no-permission, no-program, no-directory, no-cpu; warnings:
/// cert-expiry, certificate,
///        key-mode, termination-grace, unseen-config; notes: forwarded-ignored
std::vector<config::Problem> check_machine(const config::Config& config, const std::string& file,
                                           const std::map<std::string, config::Place, std::less<>>& places,
                                           const Machine& machine);

}  // namespace edgeproxy::cli
