// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/log.hpp"
#include "upstream/master/watch_rules.hpp"

namespace edgeproxy::master {

/// Tells when files below a folder have changed. YAML: `pools.<name>.watch`.
///
/// inotify on folders, never on files: editors replace a file rather than write into it, and a watch on the file would
/// go with it. New folders are followed, ignored ones (`is_ignored_folder`) and links to folders are not. Events only
/// say "look": once it is quiet (Debounce) the whole tree is stamped and compared, so a burst, a lost event (queue
/// overflow), a rename of a folder and a touch without change all come out right.
///
/// Bounds: `most_folders`, `most_files`; beyond them, and beyond what the kernel lends (fs.inotify.max_user_watches),
/// the rest is not watched and a warning says so once. Runs on the loop's thread; may be destroyed there at any time
/// but from its own `changed`.
class Watch {
 public:
    static constexpr std::size_t most_folders = 16'384, most_files = 262'144;
    using Changed = std::function<void(const std::vector<std::string>& files)>;

    /// `root`: absolute. `patterns`: relative to it, see `fits_pattern`. `changed` gets relative paths.
    Watch(boost::asio::io_context& loop, config::Log& log, std::string root, std::vector<std::string> patterns,
          Changed changed);

    /// False when the kernel gives no inotify (`error` then says why).
    bool start(std::string& error);
    /// How many folders are watched.
    std::size_t folders() const { return folders_.size(); }

 private:
    void wait();
    void read_events();
    bool matters(std::uint32_t mask, std::string_view name) const;
    bool fits(const std::string& path) const;
    FileStamps look();
    void enter(const std::string& folder, FileStamps& found, std::vector<std::string>& below);
    void arm();
    void act();
    void incomplete(const std::string& why);

    boost::asio::posix::stream_descriptor descriptor_;
    boost::asio::steady_timer timer_;
    config::Log& log_;
    const std::string root_;
    const std::vector<std::string> patterns_;
    const Changed changed_;
    Debounce debounce_;
    FileStamps stamps_;
    std::map<int, std::string> folders_;  // by watch descriptor
    bool warned_ = false;
    // Gone with us: what was complete when we were destroyed is still told to its handler.
    const std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace edgeproxy::master
