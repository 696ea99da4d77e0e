// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace edgeproxy::admin {

/// What this process uses, in the terms of the standard metrics `process_...`.
struct ProcessUsage {
    double cpu_seconds = 0;  ///< user and system, all threads
    std::uint64_t resident_bytes = 0;
    std::uint64_t open_fds = 0, max_fds = 0;
};

/// Reads /proc/self; what cannot be read stays 0.
ProcessUsage read_process_usage();

/// Start of this process in Unix time, by /proc/self/stat; 0 when it cannot be read.
double read_process_start();

}  // namespace edgeproxy::admin
