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

struct MemoryUse {
    std::uint64_t used = 0;   ///< without what the kernel would give back at once
    std::uint64_t limit = 0;  ///< 0 = nothing is known
};
/// How full memory is where it is fullest: the machine, or one of the cgroups of this process that has a limit.
MemoryUse memory_use(const std::string& root = "");

/// The fields of /proc/PROCESS/stat behind the name, which may hold anything, also blanks and parentheses: from the
/// state on, number 3 in proc(5). `process` is a number or "self". Empty when there is no such process.
std::string stat_fields(const std::string& process, const std::string& root = "");

/// The soft limit of open files.
std::uint64_t open_file_limit();

/// `$RUNTIME_DIRECTORY` (its first entry, systemd lists them with colons), else /run/edgeproxy for root, else
/// `$XDG_RUNTIME_DIR/edgeproxy`, else `edgeproxy-UID` in `$TMPDIR` or /tmp. Always absolute; nothing is created.
std::string runtime_dir_for(unsigned uid, const Lookup& environment);

/// `$STATE_DIRECTORY` (its first entry), else /var/lib/edgeproxy for root, else `$XDG_STATE_HOME/edgeproxy`, else
/// `$HOME/.local/state/edgeproxy`, else as `runtime_dir_for`. Always absolute; nothing is created.
std::string state_dir_for(unsigned uid, const Lookup& environment);

}  // namespace edgeproxy::config
