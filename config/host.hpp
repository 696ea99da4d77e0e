// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "config/expand.hpp"

/// What `auto` means on this machine.
namespace edgeproxy::config {

/// CPUs that this process may use: those of its affinity mask, fewer if a cgroup (v1 or v2) grants less time. At
/// least 1.
unsigned allowed_cpus();

/// The grant of the cgroup alone, rounded up to whole CPUs; 0 = no limit. `root` is where /proc and /sys are, for
/// tests.
unsigned cgroup_cpus(const std::string& root = "");

/// Bytes of memory: the least of what the machine has and its cgroups (v1 or v2) grant. `root` as above.
std::uint64_t granted_memory(const std::string& root = "");

/// The soft limit of open files.
std::uint64_t open_file_limit();

/// `$RUNTIME_DIRECTORY` (its first entry, systemd lists them with colons), else /run/edgeproxy for root, else
/// `$XDG_RUNTIME_DIR/edgeproxy`, else `edgeproxy-UID` in `$TMPDIR` or /tmp. Always absolute; nothing is created.
std::string runtime_dir_for(unsigned uid, const Lookup& environment);

}  // namespace edgeproxy::config
