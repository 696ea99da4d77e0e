// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tls/io/clock.hpp"

/// What a watch decides, without looking at any file: which files matter, when to act, what has changed.
namespace edgeproxy::master {

/// Whether a path fits a pattern, both relative and with `/` between names: `*` is any part of a name, `?` one
/// character of it, `**` any folders (none too). `**/*.py` is every Python file.
bool fits_pattern(std::string_view pattern, std::string_view path);

/// Folders that nobody edits a program in: hidden ones (.git, .venv), __pycache__, node_modules, venv.
bool is_ignored_folder(std::string_view name);
/// What editors leave beside a file while they write it: hidden files, `x~`, vim's `4913`, `#x#`.
bool is_ignored_file(std::string_view name);

/// When to act on a series of events: `quiet` after the last one, but at most `longest` after the first.
class Debounce {
 public:
    static constexpr std::chrono::milliseconds quiet{50}, longest{500};

    void note(io::TimePoint now);
    /// When to act; empty while nothing happened.
    std::optional<io::TimePoint> due() const;
    void clear() { first_.reset(); }

 private:
    std::optional<io::TimePoint> first_;
    io::TimePoint last_{};
};

/// What tells two contents of a path apart without reading them.
struct FileStamp {
    std::int64_t modified_ns = 0;
    std::uint64_t size = 0, inode = 0;
    bool operator==(const FileStamp&) const = default;
};
using FileStamps = std::map<std::string, FileStamp>;  ///< by relative path

/// The paths that are new, gone or different, in order.
std::vector<std::string> differences(const FileStamps& before, const FileStamps& after);

/// "main.py", "main.py and 3 other files"
std::string describe_files(const std::vector<std::string>& files);

}  // namespace edgeproxy::master
