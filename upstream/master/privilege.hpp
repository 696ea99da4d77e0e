// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/resource.h>

#include <string>

namespace edgeproxy::master {

/// For master and proxy, first thing in each: no core dump, no reading of our memory by others of the same user
/// (ptrace, /proc). An exec undoes the second half. Returns the core limit that was, for the workers.
rlimit lock_down();

/// Orphans below us become our children, so that they are seen, reaped and ended.
void become_subreaper();

/// Started as root: keeps only what the master needs (SETUID, SETGID, KILL, CHOWN, NET_BIND_SERVICE, DAC_READ_SEARCH);
/// nothing happens for other users. The uid stays: a child of another uid could not be told of our death otherwise.
bool drop_capabilities(std::string& error);

/// True if we may start a process as another user.
bool can_switch_user();

}  // namespace edgeproxy::master
