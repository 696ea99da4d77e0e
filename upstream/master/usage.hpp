// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgeproxy::master {

/// What a process and its descendants use, from /proc.
struct Usage {
    std::uint64_t rss_bytes = 0;
    std::chrono::milliseconds cpu{};
};

/// Zero for a process that is gone. Looks at no more than 1024 processes.
Usage measure(pid_t pid);

/// The process and its descendants, no more than `most`.
std::vector<pid_t> family_of(pid_t pid, std::size_t most);

/// True while a debugger is attached to the process.
bool is_traced(pid_t pid);

/// True while a signal (STOP, TSTP) holds the process.
bool stopped_by_signal(pid_t pid);

}  // namespace edgeproxy::master
