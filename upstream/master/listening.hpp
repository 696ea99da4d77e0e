// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::master {

/// The TCP addresses that sockets of these inodes listen on, in a table as /proc/net/tcp and tcp6 have it. Pure.
std::vector<std::string> listening_in(std::string_view table, const std::set<std::uint64_t>& inodes);

/// The TCP addresses that a process and its descendants listen on, as far as the kernel shows us: it hides the
/// descriptors of other users, and of those who have more rights than we kept. Looks at no more than 64 processes.
std::vector<std::string> listening_of(pid_t pid);

}  // namespace edgeproxy::master
