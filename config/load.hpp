// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/problem.hpp"

namespace edgeproxy::config {

/// What the loader may know of the world around the file. The defaults ask this process and this machine.
struct LoadOptions {
    /// For `${VAR}`, and for where the runtime directory is. Null = the environment of this process.
    std::function<std::optional<std::string>(const std::string&)> environment;

    std::string base_dir;          ///< what relative paths start from; empty = the directory of the file
    unsigned cpus = 0;             ///< what `auto` means for threads and workers; 0 = affinity and cgroup quota
    std::uint64_t file_limit = 0;  ///< RLIMIT_NOFILE, from which `max_connections: auto` follows; 0 = ask
    std::uint64_t memory = 0;  ///< bytes, from which `limits.memory: auto` follows; 0 = the machine's or the cgroup's
    std::optional<unsigned> uid;  ///< who we are: decides where the runtime directory is; empty = the effective user
    bool read_env_files = true;   ///< false: `env_file` is checked as a key but not opened (`check --no-files`)

    /// Accepts what only the master writes (see `DumpOptions::for_proxy`): pools marked `managed`, without a command.
    bool internal = false;
};

struct LoadResult {
    std::shared_ptr<const Config> config;  ///< null when there is at least one error
    std::vector<Problem> problems;         ///< errors and warnings, by place
    std::string name;                      ///< of the file, as its problems have it; those of other files have theirs
    std::string source;                    ///< the text that was read, for `render`
    /// For `render`: what the problem's lines are lines of; empty for one of another file.
    std::string_view source_of(const Problem& problem) const {
        return problem.file == name ? std::string_view(source) : std::string_view();
    }
    /// Where the written values stand, by their path in the plan ("tls.certificates[0].cert", "pools.web.user"): for
    /// those who find out later that one does not fit the machine.
    std::map<std::string, Place, std::less<>> places;
};

/// Limits of the loader itself: a configuration file must not be able to eat the machine.
inline constexpr std::size_t largest_file = 4 * 1024 * 1024;  ///< bytes
inline constexpr std::size_t longest_line = 64 * 1024;        ///< bytes
inline constexpr unsigned deepest_nesting = 64;               ///< of lists and maps
inline constexpr std::size_t most_alias_nodes = 1000;         ///< values that all `*alias` together stand for
inline constexpr std::size_t most_nodes = 100'000;            ///< values of a file
inline constexpr std::size_t longest_runtime_dir = 76;  ///< bytes: below it the master needs the rest of a socket's 107

/// Reads, expands, checks. Never throws for anything that stands in the file. Every problem of the file comes in one
/// run, except that a syntax error hides what follows it.
LoadResult load_file(const std::string& path, const LoadOptions& options = {});
/// As `load_file`; `name` is what problems call the text.
LoadResult load_text(std::string_view text, const std::string& name, const LoadOptions& options = {});

/// What to write and what to keep back.
struct DumpOptions {
    /// The copy that the proxy gets: no command, environment, user or directory of a worker, but the mark `managed`
    /// (with kind and bind) in their place. Readable with `LoadOptions::internal` only.
    bool for_proxy = false;
    bool hide_secrets = false;  ///< values of `environment` as `***`: for people, not for the loader
};

/// The canonical long form: every supported key with its value. Loading it again gives an equal Config (with
/// `hide_secrets`: all but the secrets; with `for_proxy`: all but what was left out).
std::string to_yaml(const Config& config, const DumpOptions& options = {});

}  // namespace edgeproxy::config
