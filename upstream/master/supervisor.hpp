// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/log.hpp"
#include "tls/io/fd.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/check_child.hpp"

namespace edgeproxy::master {

/// What `main` knows and the configuration does not say.
struct MasterOptions {
    std::string config_name;  ///< for the banner: the file as it was named
    /// By which commands know us: the absolute path of the file; the command ("edgeproxy run") where there is none.
    std::string runs;
    /// Reads and judges the file again, for a reload; called in a child process.
    std::function<Checked()> load;
    /// Turns a record into text for the log, line end included. `json` or for people; called on the master's thread.
    std::function<std::string(const config::LogRecord& record, bool json)> format;
    /// The proxy process: this program again, from the running inode. Its channel is `control::proxy_channel`.
    std::string proxy_program = "/proc/self/exe";
    std::vector<std::string> proxy_arguments = {"edgeproxy", std::string(control::proxy_role)};
    /// Where an upgrade finds its program, and what it is called with: our own path and arguments.
    std::string program;
    std::vector<std::string> arguments;
    bool banner = true;  ///< print what is served, at the start, where the log is for people
};

/// Runs the master until it is told to stop: binds the listeners, starts the guard, the proxy process and the workers,
/// keeps them alive, ends them. Call from the main thread while there is no other; it changes the process for good
/// (signals, core limit, capabilities, subreaper).
///
/// Signals: TERM, INT, QUIT stop in order (a second INT at once); USR1 reopens log files; HUP
/// replaces the workers of all pools; TTIN and TTOU are one worker more or less in the first one; USR2 puts another
/// binary in our place (upgrade.hpp). Everything that dies below it is reaped, so it may be process 1.
///
/// Returns the exit code: 0 an orderly end; 1 failed while starting the proxy; 3 the proxy refuses the configuration; 4
/// cannot bind, or a right is missing; 5 a required pool did not come up; 8 the end was forced. What is wrong stands in
/// the log by then.
int run_master(const MasterOptions& options, std::shared_ptr<const config::Config> config, config::Log& log);

/// Goes on with what the program before us in this process hands over: `state` is its descriptor. Returns the exit code
/// as `run_master`.
int resume_master(const MasterOptions& options, io::UniqueFd state, config::Log& log);

/// `--check-state`: whether `resume_master` could, and whether the file is valid. Says so, or why not, in whole lines.
/// Returns the exit code of the program. Starts nothing, touches none of the descriptors that the state names.
int check_state(const MasterOptions& options, io::UniqueFd state, std::ostream& out);

}  // namespace edgeproxy::master
