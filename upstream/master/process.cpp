// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
extern "C" {  // glibc 2.36 leaves it out
}
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "upstream/master/environment.hpp"

namespace edgeproxy::master {
namespace {

constexpr int exec_wait_ms = 10000;  // a start that has not executed by then is given up (a dead network drive, say)

// Everything the child needs, made before the fork: after it nothing is allocated.
struct Prepared {
    std::vector<std::string> programs;  // tried in this order
    std::vector<char*> argv, envp;
    std::string oom;
    cpu_set_t cpus{};
};

std::vector<std::string> programs_of(const ProcessRequest& request) {
    const std::string& program = request.program.empty() ? request.argv.front() : request.program;
    if (program.find('/') != std::string::npos) return {program};
    std::vector<std::string> found;
    std::string_view path = value_of(request.environment, "PATH");
    if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
    while (!path.empty()) {
        const std::size_t colon = std::min(path.find(':'), path.size());
        const std::string_view folder = path.substr(0, colon);
        found.push_back((folder.empty() ? std::string(".") : std::string(folder)) + "/" + program);
        path.remove_prefix(std::min(colon + 1, path.size()));
    }
    return found;
}

Prepared prepare(const ProcessRequest& request) {
    Prepared out;
    out.programs = programs_of(request);
    for (const std::string& word : request.argv) out.argv.push_back(const_cast<char*>(word.c_str()));
    for (const std::string& entry : request.environment) out.envp.push_back(const_cast<char*>(entry.c_str()));
    out.argv.push_back(nullptr);
    out.envp.push_back(nullptr);
    CPU_ZERO(&out.cpus);
    for (const unsigned cpu : request.cpus) CPU_SET(cpu, &out.cpus);
    if (request.oom_score_adj != 0) out.oom = std::to_string(request.oom_score_adj);
    return out;
}

[[noreturn]] void give_up(int report, StartStep step) {
    const std::array<int, 2> words{static_cast<int>(step), errno};
    [[maybe_unused]] const ssize_t n = ::write(report, words.data(), sizeof(words));
    ::_exit(127);
}

void default_signals() {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);  // fails for KILL, STOP: as it should
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// More likely to be taken than we are, when memory runs out. A wish: where it is refused the start goes on.
void set_oom_score(const std::string& text) {
    if (text.empty()) return;
    const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    [[maybe_unused]] const ssize_t n = ::write(fd, text.data(), text.size());
    ::close(fd);
}

bool set_limit(__rlimit_resource resource, std::optional<rlim_t> soft) {
    if (!soft) return true;
    rlimit now{};
    if (::getrlimit(resource, &now) != 0) return false;
    const rlimit wanted{*soft, std::max(now.rlim_max, *soft)};
    return ::setrlimit(resource, &wanted) == 0;
}

bool set_limits(const ProcessRequest& request) {
    if (request.core && ::setrlimit(RLIMIT_CORE, &*request.core) != 0) return false;
    return set_limit(RLIMIT_NOFILE, request.open_files) && set_limit(RLIMIT_AS, request.memory);
}

bool set_priority(const ProcessRequest& request, const Prepared& prepared) {
    errno = 0;  // a new nice of -1 is no error
    if (request.nice != 0 && ::nice(request.nice) == -1 && errno != 0) return false;
    return request.cpus.empty() || ::sched_setaffinity(0, sizeof(prepared.cpus), &prepared.cpus) == 0;
}

bool take_identity(const Identity& who) {
    // Without the right to switch this still succeeds where nothing changes.
    if (::getuid() == who.uid && ::getgid() == who.gid && ::geteuid() != 0) return true;
    return ::setgroups(who.groups.size(), who.groups.data()) == 0 && ::setresgid(who.gid, who.gid, who.gid) == 0 &&
           ::setresuid(who.uid, who.uid, who.uid) == 0;
}

// Puts the passed descriptors at 3, 4, ..., and lets exec close everything else. All sources move out of the way first,
// so that no target overwrites one that is still needed.
bool place_descriptors(const ProcessRequest& request) {
    const int first_free = 3 + static_cast<int>(request.pass.size());
    const int null = ::open("/dev/null", O_RDONLY);
    std::array<int, 3> standard{null, request.out, request.err};
    for (int& fd : standard) {
        if (fd >= 0 && (fd = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free)) < 0) return false;
    }
    std::vector<int> moved(request.pass.size());
    for (std::size_t i = 0; i < moved.size(); ++i) {
        if ((moved[i] = ::fcntl(request.pass[i], F_DUPFD_CLOEXEC, first_free)) < 0) return false;
    }
    for (int i = 0; i < 3; ++i) {
        if (standard[static_cast<std::size_t>(i)] >= 0 && ::dup2(standard[static_cast<std::size_t>(i)], i) < 0)
            return false;
    }
    for (std::size_t i = 0; i < moved.size(); ++i) {
        if (::dup2(moved[i], 3 + static_cast<int>(i)) < 0) return false;
    }
    return ::close_range(static_cast<unsigned>(first_free), ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

[[noreturn]] void become(const ProcessRequest& request, const Prepared& prepared, int report, pid_t parent) {
    report = ::fcntl(report, F_DUPFD_CLOEXEC, 3 + static_cast<int>(request.pass.size()));
    if (::setsid() < 0) give_up(report, StartStep::session);
    if (!set_limits(request)) give_up(report, StartStep::limits);
    if (!set_priority(request, prepared)) give_up(report, StartStep::priority);
    set_oom_score(prepared.oom);
    if (request.identity && !take_identity(*request.identity)) give_up(report, StartStep::identity);
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // After the change of user, which clears it; then a look whether the parent died before it was set.
    if (request.death_signal != 0) {
        if (::prctl(PR_SET_PDEATHSIG, request.death_signal) != 0) give_up(report, StartStep::death_signal);
        if (::getppid() != parent) ::_exit(127);
    }
    if (!request.working_dir.empty() && ::chdir(request.working_dir.c_str()) != 0) {
        give_up(report, StartStep::working_dir);
    }
    if (!place_descriptors(request)) give_up(report, StartStep::descriptors);
    default_signals();
    // Like a shell: a program that is there and may not be run is a better answer than one that is not there.
    int reason = ENOENT;
    for (const std::string& program : prepared.programs) {
        ::execve(program.c_str(), prepared.argv.data(), prepared.envp.data());
        if (errno != ENOENT && errno != ENOTDIR) reason = errno;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
    }
    errno = reason;
    give_up(report, StartStep::exec);
}

// Waits until the child has executed (end of file) or reported. False when it failed.
bool executed(int report, StartFailure& failure) {
    pollfd wait{report, POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&wait, 1, exec_wait_ms)) < 0 && errno == EINTR) {
    }
    if (ready == 0) {
        failure = {StartStep::exec, ETIMEDOUT};
        return false;
    }
    std::array<int, 2> words{};
    ssize_t size = 0;
    while ((size = ::read(report, words.data(), sizeof(words))) < 0 && errno == EINTR) {
    }
    if (size <= 0) return true;
    failure = {static_cast<StartStep>(words[0]), words[1]};
    return false;
}

}  // namespace

const char* word(StartStep step) {
    static constexpr std::array<const char*, 10> words{"pipe",        "fork",     "session",      "limits",
                                                       "priority",    "identity", "death signal", "working_dir",
                                                       "descriptors", "exec"};
    return words[static_cast<std::size_t>(step)];
}

std::string StartFailure::text(const ProcessRequest& request) const {
    std::string where;
    if (step == StartStep::exec) where = " " + (request.program.empty() ? request.argv.front() : request.program);
    if (step == StartStep::working_dir) where = " " + request.working_dir;
    if (step == StartStep::identity) where = " uid " + std::to_string(request.identity ? request.identity->uid : 0);
    return std::string(word(step)) + where + ": " + std::strerror(error);
}

std::optional<Process> start_process(const ProcessRequest& request, StartFailure& failure) {
    const Prepared prepared = prepare(request);
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        failure = {StartStep::pipe, errno};
        return std::nullopt;
    }
    io::UniqueFd report(ends[0]), child_end(ends[1]);
    // No handler of ours may run in the child, so nothing is delivered until it has reset them.
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t self = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become(request, prepared, child_end.get(), self);
    const int fork_error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        failure = {StartStep::fork, fork_error};
        return std::nullopt;
    }
    Process process{pid, open_pidfd(pid)};
    child_end.reset();
    if (executed(report.get(), failure)) return process;
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return std::nullopt;
}

std::optional<Identity> find_identity(const std::string& user, const std::string& group, std::string& error) {
    if (user.empty() && group.empty()) return std::nullopt;
    Identity who{::getuid(), ::getgid(), {}};
    std::string name;
    if (!user.empty()) {
        const auto number = whole_number<unsigned>(user);
        const passwd* entry = number ? ::getpwuid(*number) : ::getpwnam(user.c_str());
        if (entry == nullptr && !number) {
            error = "there is no user \"" + user + "\"";
            return std::nullopt;
        }
        who.uid = entry != nullptr ? entry->pw_uid : *number;
        who.gid = entry != nullptr ? entry->pw_gid : who.gid;
        if (entry != nullptr) {
            who.name = name = entry->pw_name;
            who.home = entry->pw_dir;
        }
    }
    if (!group.empty()) {
        const auto number = whole_number<unsigned>(group);
        const ::group* entry = number ? ::getgrgid(*number) : ::getgrnam(group.c_str());
        if (entry == nullptr && !number) {
            error = "there is no group \"" + group + "\"";
            return std::nullopt;
        }
        who.gid = entry != nullptr ? entry->gr_gid : *number;
    }
    who.groups = {who.gid};
    if (!name.empty()) {
        int count = 256;
        who.groups.resize(static_cast<std::size_t>(count));
        if (::getgrouplist(name.c_str(), who.gid, who.groups.data(), &count) < 0) count = 1;
        who.groups.resize(static_cast<std::size_t>(count));
    }
    return who;
}

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> out;
    if (::sched_getaffinity(0, sizeof(set), &set) != 0) return out;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
    }
    return out;
}

// By number, since the header of glibc 2.36 cannot be linked from C++.
io::UniqueFd open_pidfd(pid_t pid) {
    return io::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void send_signal(const io::UniqueFd& pidfd, int number) {
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0);
}

std::string signal_name(int number) {
    const char* name = ::sigabbrev_np(number);
    return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number);
}

int signal_number(std::string_view name) {
    if (name.starts_with("SIG")) name.remove_prefix(3);
    for (int number = 1; number < NSIG; ++number) {
        const char* known = ::sigabbrev_np(number);
        if (known != nullptr && name == known) return number;
    }
    return 0;
}

std::string describe_exit(int status) {
    if (WIFSIGNALED(status)) {
        return "signal " + std::to_string(WTERMSIG(status)) + " (" + signal_name(WTERMSIG(status)) + ")";
    }
    return "exit " + std::to_string(WEXITSTATUS(status));
}

}  // namespace edgeproxy::master
