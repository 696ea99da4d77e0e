// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// Words of the command line that only a master says, as the last argument: judge this state and end; go on with it.
inline constexpr const char* check_state_option = "--check-state=";
inline constexpr const char* resume_state_option = "--resume-state=";
/// What a program that accepts a state prints, with its version behind it. Another program that happens to end with 0
/// does not.
inline constexpr const char* state_accepted = "edgeproxy accepts the state: ";

/// Where our program was found: the absolute path of `argv0` (looked up in PATH when it has no slash), symbolic links
/// kept, if the file there is the one that runs; else the path of the running file. Call at the start, before anything
/// can be put in its place.
std::string own_path(const std::string& argv0);

/// What tells whether a file is still the same.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t changed = 0;  ///< nanoseconds since 1970
    bool operator==(const FileIdentity&) const = default;
};
/// Of the file that the path leads to; empty (errno) when there is none.
std::optional<FileIdentity> identify(const std::string& path);

/// `NEW <our arguments> --check-state=3` as a child: whether it can go on with the state. One at a time.
class StateCheck {
 public:
    /// Starts it with `state` as its descriptor 3. False with one sentence in `error`.
    bool start(const std::string& program, const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment, const io::UniqueFd& state, std::string& error);
    void kill() const;
    /// The reaper's word. Empty when `pid` is not ours; else empty text = accepted, or why not, in whole lines.
    std::optional<std::string> on_exit(pid_t pid, int status);

 private:
    static constexpr std::size_t largest_word = 64 * 1024;  ///< bytes of what it says
    pid_t pid_ = -1;
    io::UniqueFd said_;
};

/// Becomes `program`, with `arguments` and the state as the last one; our descriptors `keep` and `state` stay open.
/// Returns only when that failed (errno); nothing has changed then.
int become(const std::string& program, std::vector<std::string> arguments, const io::UniqueFd& state,
           const std::vector<int>& keep);

/// All signals wait, until `allow_signals`. Over an exec they go on waiting.
void hold_signals();
void allow_signals();

}  // namespace edgeproxy::master
