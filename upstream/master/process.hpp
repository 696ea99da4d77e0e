// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// Whom a process runs as.
struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups{};  ///< supplementary
    std::string name{}, home{};   ///< of the user's entry; empty for a number that has none
    bool operator==(const Identity&) const = default;
};

/// Looks up a user (name or number) and a group; an empty user is ourselves, an empty group the user's own. Returns
/// nothing when neither was given. Reads the user database: before a start, not between fork and exec. On failure
/// `error` says what is missing and the result is empty.
std::optional<Identity> find_identity(const std::string& user, const std::string& group, std::string& error);

/// The steps of a start, in their order; the word of each is in the report of a failure.
enum class StartStep : std::uint8_t {
    pipe,
    fork,
    session,
    limits,
    priority,
    identity,
    death_signal,
    working_dir,
    descriptors,
    exec
};
const char* word(StartStep step);

/// What to start.
struct ProcessRequest {
    std::vector<std::string> argv;         ///< a program without `/` is looked up in PATH of `environment`
    std::string program;                   ///< what to execute; empty = argv[0]
    std::vector<std::string> environment;  ///< "NAME=value", all of it
    std::string working_dir;               ///< empty = ours
    std::optional<Identity> identity;      ///< empty = ours
    std::vector<int> pass;                 ///< descriptors of ours; they become 3, 4, ... there
    int out = -1, err = -1;                ///< standard output and error; -1 = ours
    int death_signal = 0;                  ///< sent to it when we die; 0 = none
    std::optional<rlimit> core;            ///< RLIMIT_CORE, since ours is zero
    std::optional<rlim_t> open_files;      ///< RLIMIT_NOFILE; above our hard limit only with the right to raise it
    std::optional<rlim_t> memory;          ///< RLIMIT_AS, bytes
    int nice = 0;                          ///< added to ours
    std::vector<unsigned> cpus;            ///< where it may run; empty = where we may
    int oom_score_adj = 0;                 ///< added to the chance to be chosen when memory runs out
};

struct Process {
    pid_t pid = -1;  ///< also its process group and session
    io::UniqueFd pidfd;
};

struct StartFailure {
    StartStep step = StartStep::fork;
    int error = 0;  ///< errno
    std::string text(const ProcessRequest& request) const;
};

/// Forks and executes. Returns when the program runs (its exec succeeded), after some milliseconds, or says which step
/// failed. The child has: its own session, standard input from /dev/null, no descriptor but 0, 1, 2 and those passed,
/// default signal actions (SIGPIPE too) and an empty mask, no ambient capabilities. Call from the main thread of a
/// single-threaded process: the death signal is bound to the thread.
std::optional<Process> start_process(const ProcessRequest& request, StartFailure& failure);

/// The CPUs that we may run on, in order; empty when the kernel does not say.
std::vector<unsigned> allowed_cpus();

/// A descriptor that stands for a process, readable when it has ended. Empty when there is no such process.
io::UniqueFd open_pidfd(pid_t pid);
/// A signal to exactly that process, even if its number was given to another since.
void send_signal(const io::UniqueFd& pidfd, int number);

/// How a process ended, from the `status` of wait: "exit 3", "signal 9 (SIGKILL)".
std::string describe_exit(int status);
/// "SIGTERM"; "signal 40" where there is no name.
std::string signal_name(int number);
/// The number of "TERM", "SIGTERM", ...; 0 when unknown.
int signal_number(std::string_view name);

}  // namespace edgeproxy::master
