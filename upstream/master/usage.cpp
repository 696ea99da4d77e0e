// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/usage.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/host.hpp"

namespace edgeproxy::master {
namespace {

void add_process(pid_t pid, Usage& usage) {
    std::uint64_t size = 0, resident = 0;
    if (std::ifstream(fmt::format("/proc/{}/statm", pid)) >> size >> resident) {
        usage.rss_bytes += resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
    std::istringstream rest(config::stat_fields(std::to_string(pid)));
    std::string skipped;
    for (int field = 3; field < 14; ++field) rest >> skipped;
    std::int64_t user = 0, system = 0;
    rest >> user >> system;
    usage.cpu += std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace

std::vector<pid_t> family_of(pid_t pid, std::size_t most) {
    std::vector<pid_t> family{pid};
    for (std::size_t i = 0; i < family.size(); ++i) {
        std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", family[i]));
        for (pid_t child = 0; family.size() < most && children >> child;) family.push_back(child);
    }
    return family;
}

Usage measure(pid_t pid) {
    constexpr std::size_t most = 1024;
    Usage usage;
    for (const pid_t one : family_of(pid, most)) add_process(one, usage);
    return usage;
}

namespace {

// The line of /proc/pid/status that starts so.
std::string status_line(pid_t pid, std::string_view start) {
    std::ifstream file(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(start)) return line.substr(start.size());
    }
    return {};
}

}  // namespace

bool is_traced(pid_t pid) {
    return status_line(pid, "TracerPid:").find_first_of("123456789") != std::string::npos;
}

bool stopped_by_signal(pid_t pid) {
    return status_line(pid, "State:").find('T') != std::string::npos;
}

}  // namespace edgeproxy::master
