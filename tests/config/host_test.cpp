// SPDX-License-Identifier: Apache-2.0
#include "config/host.hpp"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

using namespace edgeproxy::config;

namespace {

/// Files below a directory of their own that stand for /proc and /sys.
class FakeRoot {
 public:
    explicit FakeRoot(const std::map<std::string, std::string>& files) {
        char pattern[] = "/tmp/edgeproxy-host-XXXXXX";
        path_ = ::mkdtemp(pattern);
        for (const auto& [name, text] : files) {
            std::filesystem::create_directories(std::filesystem::path(path_ + name).parent_path());
            std::ofstream(path_ + name) << text << "\n";
        }
    }
    ~FakeRoot() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

}  // namespace

TEST_CASE("the cgroup's grant is rounded up to whole CPUs", "[config][host]") {
    using Files = std::map<std::string, std::string>;
    const auto [name, files, cpus] = GENERATE(table<std::string, Files, unsigned>({
        {"no cgroup", Files{}, 0},
        {"v2 without a limit", Files{{"/proc/self/cgroup", "0::/"}, {"/sys/fs/cgroup/cpu.max", "max 100000"}}, 0},
        {"v2 with two and a half",
         Files{{"/proc/self/cgroup", "0::/app"}, {"/sys/fs/cgroup/app/cpu.max", "250000 100000"}}, 3},
        {"v2 with a tenth", Files{{"/proc/self/cgroup", "0::/"}, {"/sys/fs/cgroup/cpu.max", "10000 100000"}}, 1},
        {"v2, a level above grants less",
         Files{{"/proc/self/cgroup", "0::/a/b"},
               {"/sys/fs/cgroup/a/cpu.max", "200000 100000"},
               {"/sys/fs/cgroup/a/b/cpu.max", "max 100000"}},
         2},
        {"v1",
         Files{{"/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/1"},
               {"/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "400000"},
               {"/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000"}},
         4},
        {"v1 without a limit",
         Files{{"/proc/self/cgroup", "4:cpu,cpuacct:/"},
               {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1"},
               {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"}},
         0},
        {"nonsense", Files{{"/proc/self/cgroup", "nonsense\n:\n0:"}, {"/sys/fs/cgroup/cpu.max", "many"}}, 0},
    }));
    INFO(name);
    const FakeRoot root(files);
    CHECK(cgroup_cpus(root.path()) == cpus);
}

TEST_CASE("there is at least one CPU and a file limit", "[config][host]") {
    CHECK(allowed_cpus() >= 1);
    CHECK(open_file_limit() >= 16);
}

TEST_CASE("the runtime directory is where the system wants it", "[config][host]") {
    using Variables = std::map<std::string, std::string>;
    const auto [uid, variables, path] = GENERATE(table<unsigned, Variables, std::string>({
        {0, Variables{}, "/run/edgeproxy"},
        {0, Variables{{"RUNTIME_DIRECTORY", "/run/edge"}}, "/run/edge"},
        {1000, Variables{{"RUNTIME_DIRECTORY", "/run/a:/run/b"}, {"XDG_RUNTIME_DIR", "/run/user/1000"}}, "/run/a"},
        {1000, Variables{{"XDG_RUNTIME_DIR", "/run/user/1000"}}, "/run/user/1000/edgeproxy"},
        {1000, Variables{{"XDG_RUNTIME_DIR", "relative"}}, "/tmp/edgeproxy-1000"},
        {1000, Variables{{"TMPDIR", "/var/tmp"}}, "/var/tmp/edgeproxy-1000"},
        {0, Variables{{"XDG_RUNTIME_DIR", "/run/user/0"}}, "/run/edgeproxy"},
    }));
    const auto lookup = [variables = variables](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    };
    CHECK(runtime_dir_for(uid, lookup) == path);
}

TEST_CASE("what is kept is where the system wants it", "[config][host]") {
    using Variables = std::map<std::string, std::string>;
    const auto [uid, variables, path] = GENERATE(table<unsigned, Variables, std::string>({
        {0, Variables{{"HOME", "/root"}}, "/var/lib/edgeproxy"},
        {0, Variables{{"STATE_DIRECTORY", "/var/lib/shop:/x"}}, "/var/lib/shop"},
        {1000, Variables{{"XDG_STATE_HOME", "/home/a/state"}, {"HOME", "/home/a"}}, "/home/a/state/edgeproxy"},
        {1000, Variables{{"HOME", "/home/a"}}, "/home/a/.local/state/edgeproxy"},
        {1000, Variables{}, "/tmp/edgeproxy-1000"},
    }));
    const auto lookup = [variables = variables](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    CHECK(state_dir_for(uid, lookup) == path);
}

TEST_CASE("memory is as full as where it is fullest", "[config][host]") {
    using Files = std::map<std::string, std::string>;
    const std::string machine = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB";
    const auto [name, files, used, limit] = GENERATE_COPY(table<std::string, Files, std::uint64_t, std::uint64_t>({
        {"the machine alone", Files{{"/proc/meminfo", machine}}, 600 * 1024, 1000 * 1024},
        {"v2, without what is cached",
         Files{{"/proc/meminfo", machine},
               {"/proc/self/cgroup", "0::/a"},
               {"/sys/fs/cgroup/a/memory.max", "5000"},
               {"/sys/fs/cgroup/a/memory.current", "4900"},
               {"/sys/fs/cgroup/a/memory.stat", "anon 3000\ninactive_file 900\nfile 1000"}},
         4000, 5000},
        {"a cgroup with more room than the machine",
         Files{{"/proc/meminfo", machine},
               {"/proc/self/cgroup", "0::/a"},
               {"/sys/fs/cgroup/a/memory.max", "5000"},
               {"/sys/fs/cgroup/a/memory.current", "2000"}},
         600 * 1024, 1000 * 1024},
        {"v1, a level above",
         Files{{"/proc/meminfo", machine},
               {"/proc/self/cgroup", "4:memory:/x/y"},
               {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "7000"},
               {"/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "6900"},
               {"/sys/fs/cgroup/memory/x/memory.stat", "inactive_file 0\ntotal_inactive_file 100"}},
         6800, 7000},
        {"nothing to be read", Files{}, 0, 0},
    }));
    INFO(name);
    const FakeRoot root(files);
    CHECK(memory_use(root.path()).used == used);
    CHECK(memory_use(root.path()).limit == limit);
}

TEST_CASE("memory is what the machine has, or less if a cgroup grants less", "[config][host]") {
    using Files = std::map<std::string, std::string>;
    const auto [name, files, bytes] = GENERATE(table<std::string, Files, std::uint64_t>({
        {"the machine alone", Files{{"/proc/meminfo", "MemTotal:       1000 kB"}}, 1'024'000},
        {"v2",
         Files{{"/proc/meminfo", "MemTotal: 1000 kB"},
               {"/proc/self/cgroup", "0::/a"},
               {"/sys/fs/cgroup/a/memory.max", "5000"}},
         5000},
        {"v2 without a limit",
         Files{{"/proc/meminfo", "MemTotal: 1000 kB"},
               {"/proc/self/cgroup", "0::/a"},
               {"/sys/fs/cgroup/a/memory.max", "max"}},
         1'024'000},
        {"v2, a level above grants less",
         Files{{"/proc/self/cgroup", "0::/a/b"},
               {"/sys/fs/cgroup/a/memory.max", "400"},
               {"/sys/fs/cgroup/a/b/memory.max", "900"}},
         400},
        {"v1",
         Files{{"/proc/self/cgroup", "4:cpu:/y\n9:memory:/x"},
               {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "7000"}},
         7000},
        {"v1 without a limit",
         Files{{"/proc/meminfo", "MemTotal: 1 kB"},
               {"/proc/self/cgroup", "9:memory:/"},
               {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"}},
         1024},
        {"nothing to be read", Files{}, 1 << 30},
    }));
    INFO(name);
    const FakeRoot root(files);
    CHECK(granted_memory(root.path()) == bytes);
}

TEST_CASE("a process may have any name", "[config][host]") {
    const auto [stat, fields] = GENERATE(table<std::string, std::string>({
        {"7 (sh) S 1 7 7", "S 1 7 7\n"},
        {"7 (a) Z (b) R) T 1 7 7", "T 1 7 7\n"},
        {"", ""},
    }));
    const FakeRoot root({{"/proc/7/stat", stat}});
    CHECK(stat_fields("7", root.path()) == fields);
    CHECK(stat_fields("8", root.path()).empty());
    CHECK(stat_fields("self").starts_with('R'));
}
