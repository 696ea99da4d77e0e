// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/process_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "config/host.hpp"

namespace edgeproxy::admin {
namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::uint64_t count_open_fds() {
    struct CloseDirectory {
        void operator()(DIR* directory) const { ::closedir(directory); }
    };
    const std::unique_ptr<DIR, CloseDirectory> directory{::opendir("/proc/self/fd")};
    if (!directory) return 0;
    std::uint64_t count = 0;
    while (const dirent* entry = ::readdir(directory.get())) count += entry->d_name[0] != '.' ? 1 : 0;
    return count - 1;  // the directory's own
}

}  // namespace

ProcessUsage read_process_usage() {
    ProcessUsage usage;
    rusage own{};
    if (::getrusage(RUSAGE_SELF, &own) == 0) usage.cpu_seconds = seconds(own.ru_utime) + seconds(own.ru_stime);
    std::uint64_t pages = 0, resident = 0;
    if (std::ifstream("/proc/self/statm") >> pages >> resident) {
        usage.resident_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) usage.max_fds = files.rlim_cur;
    usage.open_fds = count_open_fds();
    return usage;
}

double read_process_start() {
    constexpr int start_field = 22, fields_before_state = 2;  // proc(5)
    std::istringstream fields(config::stat_fields("self"));
    std::string field;
    for (int i = fields_before_state; i < start_field; ++i) fields >> field;
    timespec since_boot{};
    if (field.empty() || ::clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) return 0;
    const double age = static_cast<double>(since_boot.tv_sec) + static_cast<double>(since_boot.tv_nsec) / 1e9 -
                       std::stod(field) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    return now.count() - age;
}

}  // namespace edgeproxy::admin
