// SPDX-License-Identifier: Apache-2.0
#include "config/host.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace edgeproxy::config {

namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// cgroup v2: "max 100000" or "150000 100000", in microseconds.
double v2_quota(const std::string& directory) {
    std::istringstream line(first_line(directory + "/cpu.max"));
    double quota = 0, period = 0;
    if (!(line >> quota >> period) || period <= 0) return unlimited;
    return quota / period;
}

/// cgroup v1: a quota of -1 is none.
double v1_quota(const std::string& directory) {
    std::istringstream quota_line(first_line(directory + "/cpu.cfs_quota_us"));
    std::istringstream period_line(first_line(directory + "/cpu.cfs_period_us"));
    double quota = 0, period = 0;
    if (!(quota_line >> quota) || !(period_line >> period) || quota <= 0 || period <= 0) return unlimited;
    return quota / period;
}

/// cgroup v2: "max" or bytes.
double v2_memory(const std::string& directory) {
    std::istringstream line(first_line(directory + "/memory.max"));
    double bytes = 0;
    return line >> bytes ? bytes : unlimited;
}

/// cgroup v1: a number near 2^63 is no limit.
double v1_memory(const std::string& directory) {
    std::istringstream line(first_line(directory + "/memory.limit_in_bytes"));
    double bytes = 0;
    constexpr double absurd = 1e18;
    return line >> bytes && bytes < absurd ? bytes : unlimited;
}

using Reading = double (*)(const std::string& directory);

/// Every level above may grant less than the one below.
double smallest(const std::string& mount, std::string group, Reading read) {
    double least = read(mount);
    while (group.size() > 1) {
        least = std::min(least, read(mount + group));
        group.resize(group.rfind('/'));
    }
    return least;
}

/// What the cgroups of this process grant of one controller, in either version.
double grant(const std::string& root, const std::string& controller, std::initializer_list<const char*> v1_mounts,
             Reading v1, Reading v2) {
    double least = unlimited;
    std::ifstream groups(root + "/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        // "0::/user.slice" is v2, "4:cpu,cpuacct:/docker/abc" is v1.
        const auto first = line.find(':');
        const auto second = line.find(':', first == std::string::npos ? first : first + 1);
        if (second == std::string::npos || line.size() <= second + 1 || line[second + 1] != '/') continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string group = line.substr(second + 1);
        if (controllers.empty()) {
            for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
                least = std::min(least, smallest(root + mount, group, v2));
        } else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
            for (const char* mount : v1_mounts) least = std::min(least, smallest(root + mount, group, v1));
        }
    }
    return least;
}

}  // namespace

unsigned cgroup_cpus(const std::string& root) {
    const double least = grant(root, "cpu", {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}, &v1_quota, &v2_quota);
    constexpr double most = 1024;
    return least > most ? 0 : std::max(1U, static_cast<unsigned>(std::ceil(least)));
}

unsigned allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    const bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    const unsigned cpus = known ? static_cast<unsigned>(std::max(1, CPU_COUNT(&set))) : 1;
    const unsigned granted = cgroup_cpus();
    return granted == 0 ? cpus : std::min(cpus, granted);
}

std::uint64_t granted_memory(const std::string& root) {
    constexpr double unknown = 1024.0 * 1024 * 1024;
    double least = grant(root, "memory", {"/sys/fs/cgroup/memory"}, &v1_memory, &v2_memory);
    std::ifstream meminfo(root + "/proc/meminfo");
    std::string name;
    double kilobytes = 0;
    if (meminfo >> name >> kilobytes && name == "MemTotal:") least = std::min(least, kilobytes * 1024);
    return static_cast<std::uint64_t>(std::isinf(least) ? unknown : least);
}

std::uint64_t open_file_limit() {
    rlimit limit{};
    constexpr std::uint64_t common = 1024;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::uint64_t>(limit.rlim_cur) : common;
}

std::string runtime_dir_for(unsigned uid, const Lookup& environment) {
    const auto absolute = [&](const char* name) {
        auto value = environment(name).value_or("");
        value = value.substr(0, value.find(':'));
        return value.starts_with('/') ? value : std::string{};
    };
    if (auto given = absolute("RUNTIME_DIRECTORY"); !given.empty()) return given;
    if (uid == 0) return "/run/edgeproxy";
    if (const auto session = absolute("XDG_RUNTIME_DIR"); !session.empty()) return session + "/edgeproxy";
    const auto temporary = absolute("TMPDIR");
    return (temporary.empty() ? std::string("/tmp") : temporary) + "/edgeproxy-" + std::to_string(uid);
}

}  // namespace edgeproxy::config
