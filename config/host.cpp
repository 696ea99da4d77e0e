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

/// Every level above may grant less than the one below.
double smallest_quota(const std::string& mount, std::string group, double (*quota)(const std::string&)) {
    double least = quota(mount);
    while (group.size() > 1) {
        least = std::min(least, quota(mount + group));
        group.resize(group.rfind('/'));
    }
    return least;
}

bool names_cpu(const std::string& controllers) {
    return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

unsigned cgroup_cpus(const std::string& root) {
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
            for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
                least = std::min(least, smallest_quota(root + mount, group, &v2_quota));
            }
        } else if (names_cpu(controllers)) {
            for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
                least = std::min(least, smallest_quota(root + mount, group, &v1_quota));
            }
        }
    }
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
