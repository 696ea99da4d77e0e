// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

namespace edgeproxy::control {

constexpr const char* lock_file = "lock";  ///< in `server.runtime_dir`; the master that runs there holds it

/// What a master says of itself in its lock file, for commands and for the next one that wants its directory.
///
///   4711\n/etc/edgeproxy/stack.yaml\n
struct Holder {
    int pid = 0;  ///< 0: not to be seen
    /// The absolute path of its configuration; the command where it has none ("edgeproxy run"); empty: a version that
    /// does not say it.
    std::string runs;
    bool operator==(const Holder&) const = default;
};

/// False for the command of one that has no file.
inline bool is_file(std::string_view runs) {
    return runs.starts_with('/');
}

std::string encode(const Holder& holder);
/// Of a text that anybody may have written: what is not to be seen in it stays empty.
Holder decode_holder(std::string_view text);
/// The same of the file. Empty when it cannot be read.
Holder read_holder(const std::string& lock_path);

/// True if both paths lead to one file: they read the same, or do so without their links, or are names of one inode.
bool is_same_file(const std::string& one, const std::string& other);

}  // namespace edgeproxy::control
