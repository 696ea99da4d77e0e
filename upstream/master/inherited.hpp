// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// A descriptor that a service manager passed: its name and its number.
struct PassedName {
    std::string name;
    int fd = -1;
    bool operator==(const PassedName&) const = default;
};

/// Reads LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES from "NAME=value" entries (systemd's socket activation; names that
/// are not given are "unknown"). Empty when the descriptors are not for `pid`, or the entries make no sense. Pure.
std::vector<PassedName> passed_names(const std::vector<std::string>& environment, int pid);

/// The listening sockets that we were started with, by name; one name may stand for several.
class InheritedSockets {
 public:
    InheritedSockets() = default;
    /// Takes what the environment names, made close-on-exec and non-blocking. What is no listening stream socket is
    /// closed and told in `refused`. Call once, before the program opens anything.
    static InheritedSockets take(const std::vector<std::string>& environment, int pid);

    /// Hands out the sockets of that name; empty when there is none (any more).
    std::vector<io::UniqueFd> claim(const std::string& name);
    /// The names that nobody has claimed.
    std::vector<std::string> unclaimed() const;
    const std::vector<std::string>& refused() const { return refused_; }

 private:
    std::map<std::string, std::vector<io::UniqueFd>> sockets_;
    std::vector<std::string> refused_;
};

}  // namespace edgeproxy::master
