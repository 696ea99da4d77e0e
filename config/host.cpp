// SPDX-License-Identifier: Apache-2.0
#include "config/host.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

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

/// One directory of a controller that limits this process.
struct Level {
    std::string directory;
    bool v2 = false;
};

/// The group and every level above it: each may grant less than the one below.
void add_levels(std::vector<Level>& levels, const std::string& mount, std::string group, bool v2) {
    levels.push_back({mount, v2});
    while (group.size() > 1) {
        levels.push_back({mount + group, v2});
        group.resize(group.rfind('/'));
    }
}

std::vector<Level> levels_of(const std::string& root, const std::string& controller,
                             std::initializer_list<const char*> v1_mounts) {
    std::vector<Level> levels;
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
                add_levels(levels, root + mount, group, true);
        } else if (("," + controllers + ",").find("," + controller + ",") != std::string::npos) {
            for (const char* mount : v1_mounts) add_levels(levels, root + mount, group, false);
        }
    }
    return levels;
}

/// What the cgroups of this process grant of one controller, in either version.
double grant(const std::string& root, const std::string& controller, std::initializer_list<const char*> v1_mounts,
             Reading v1, Reading v2) {
    double least = unlimited;
    for (const Level& level : levels_of(root, controller, v1_mounts))
        least = std::min(least, (level.v2 ? v2 : v1)(level.directory));
    return least;
}

/// The number behind a word at the beginning of a line, as in memory.stat and meminfo; 0 when it is not there.
double number_of(const std::string& path, const std::string& word) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream parts(line);
        std::string name;
        double value = 0;
        if (parts >> name >> value && name == word) return value;
    }
    return 0;
}

/// Pages of files that nobody uses do not count: the kernel takes them back before anybody is killed.
double used_in(const Level& level) {
    std::istringstream line(first_line(level.directory + (level.v2 ? "/memory.current" : "/memory.usage_in_bytes")));
    double bytes = 0;
    if (!(line >> bytes)) return 0;
    const char* const idle = level.v2 ? "inactive_file" : "total_inactive_file";
    return std::max(0.0, bytes - number_of(level.directory + "/memory.stat", idle));
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

MemoryUse memory_use(const std::string& root) {
    constexpr double kilobyte = 1024;
    const std::string meminfo = root + "/proc/meminfo";
    double limit = number_of(meminfo, "MemTotal:") * kilobyte;
    double used = limit - number_of(meminfo, "MemAvailable:") * kilobyte;
    for (const Level& level : levels_of(root, "memory", {"/sys/fs/cgroup/memory"})) {
        const double granted = (level.v2 ? &v2_memory : &v1_memory)(level.directory);
        if (granted == unlimited || granted <= 0) continue;
        const double taken = used_in(level);
        if (limit > 0 && taken * limit <= used * granted) continue;
        limit = granted;
        used = taken;
    }
    return {static_cast<std::uint64_t>(used), static_cast<std::uint64_t>(limit)};
}

std::string stat_fields(const std::string& process, const std::string& root) {
    std::ostringstream text;
    text << std::ifstream(root + "/proc/" + process + "/stat").rdbuf();
    const std::string stat = text.str();
    const std::size_t name_end = stat.rfind(") ");
    return name_end == std::string::npos ? std::string() : stat.substr(name_end + 2);
}

std::uint64_t open_file_limit() {
    rlimit limit{};
    constexpr std::uint64_t common = 1024;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::uint64_t>(limit.rlim_cur) : common;
}

namespace {

/// An absolute path in a variable, the first of a list with colons; empty when there is none.
std::string directory_in(const Lookup& environment, const char* name) {
    auto value = environment(name).value_or("");
    value = value.substr(0, value.find(':'));
    return value.starts_with('/') ? value : std::string{};
}

}  // namespace

std::string runtime_dir_for(unsigned uid, const Lookup& environment) {
    if (auto given = directory_in(environment, "RUNTIME_DIRECTORY"); !given.empty()) return given;
    if (uid == 0) return "/run/edgeproxy";
    if (const auto session = directory_in(environment, "XDG_RUNTIME_DIR"); !session.empty())
        return session + "/edgeproxy";
    const auto temporary = directory_in(environment, "TMPDIR");
    return (temporary.empty() ? std::string("/tmp") : temporary) + "/edgeproxy-" + std::to_string(uid);
}

std::string state_dir_for(unsigned uid, const Lookup& environment) {
    if (auto given = directory_in(environment, "STATE_DIRECTORY"); !given.empty()) return given;
    if (uid == 0) return "/var/lib/edgeproxy";
    if (const auto state = directory_in(environment, "XDG_STATE_HOME"); !state.empty()) return state + "/edgeproxy";
    if (const auto home = directory_in(environment, "HOME"); !home.empty()) return home + "/.local/state/edgeproxy";
    return runtime_dir_for(uid, environment);
}

}  // namespace edgeproxy::config
