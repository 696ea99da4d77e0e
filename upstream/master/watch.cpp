// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/watch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t interest =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

std::string joined(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
}

std::optional<FileStamp> stamp_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    constexpr std::int64_t second = 1'000'000'000;
    return FileStamp{status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec,
                     static_cast<std::uint64_t>(status.st_size), status.st_ino};
}

}  // namespace

Watch::Watch(boost::asio::io_context& loop, config::Log& log, std::string root, std::vector<std::string> patterns,
             Changed changed)
    : descriptor_(loop),
      timer_(loop),
      log_(log),
      root_(std::move(root)),
      patterns_(std::move(patterns)),
      changed_(std::move(changed)) {}

bool Watch::start(std::string& error) {
    const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) {
        error = fmt::format("cannot watch {}: {}", root_, std::strerror(errno));
        return false;
    }
    descriptor_.assign(fd);
    stamps_ = look();
    wait();
    return true;
}

void Watch::wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this, alive = std::weak_ptr<void>(alive_)](boost::system::error_code error) {
                               if (error || alive.expired()) return;
                               read_events();
                               wait();
                           });
}

void Watch::read_events() {
    constexpr std::size_t room = 64 * 1024;
    alignas(inotify_event) std::array<char, room> buffer;
    bool noted = false;
    for (ssize_t size = 0; (size = ::read(descriptor_.native_handle(), buffer.data(), buffer.size())) > 0;) {
        for (ssize_t at = 0; at < size;) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof(event));
            const char* name = buffer.data() + at + sizeof(event);
            if ((event.mask & IN_IGNORED) != 0) folders_.erase(event.wd);
            noted = noted || matters(event.mask, event.len > 0 ? std::string_view(name) : std::string_view());
            at += static_cast<ssize_t>(sizeof(event) + event.len);
        }
    }
    if (!noted) return;
    debounce_.note(now());
    arm();
}

// An event that cannot concern a file of ours shall not cost a look at the tree.
bool Watch::matters(std::uint32_t mask, std::string_view name) const {
    if ((mask & (IN_Q_OVERFLOW | IN_DELETE_SELF)) != 0) return true;
    if ((mask & IN_ISDIR) != 0) return !is_ignored_folder(name);
    constexpr std::uint32_t files = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
    return (mask & files) != 0 && !is_ignored_file(name);
}

bool Watch::fits(const std::string& path) const {
    return std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const std::string& pattern) { return fits_pattern(pattern, path); });
}

// Every folder is watched before it is listed, so that nothing that comes meanwhile is missed.
FileStamps Watch::look() {
    FileStamps found;
    std::vector<std::string> open{""};
    for (std::size_t entered = 0; !open.empty() && entered < most_folders; ++entered) {
        const std::string folder = std::move(open.back());
        open.pop_back();
        enter(folder, found, open);
    }
    if (!open.empty()) incomplete(fmt::format("more than {} folders", most_folders));
    return found;
}

void Watch::enter(const std::string& folder, FileStamps& found, std::vector<std::string>& below) {
    const std::string whole = folder.empty() ? root_ : root_ + "/" + folder;
    const int watch = ::inotify_add_watch(descriptor_.native_handle(), whole.c_str(), interest);
    if (watch >= 0) {
        folders_[watch] = folder;
    } else if (errno == ENOSPC) {
        incomplete("the kernel lends no more watches (sysctl fs.inotify.max_user_watches)");
    } else if (errno != ENOENT && errno != ENOTDIR) {
        incomplete(fmt::format("{}: {}", whole, std::strerror(errno)));
    }
    std::error_code error;
    for (fs::directory_iterator entry(whole, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename();
        std::error_code ignored;
        if (entry->is_directory(ignored)) {
            if (!is_ignored_folder(name) && !entry->is_symlink(ignored)) below.push_back(joined(folder, name));
            continue;
        }
        const std::string path = joined(folder, name);
        if (is_ignored_file(name) || !fits(path)) continue;
        if (found.size() >= most_files) return incomplete(fmt::format("more than {} files", most_files));
        if (const auto stamp = stamp_of(root_ + "/" + path)) found.emplace(path, *stamp);
    }
}

void Watch::arm() {
    timer_.expires_at(*debounce_.due());
    timer_.async_wait([this, alive = std::weak_ptr<void>(alive_)](boost::system::error_code error) {
        if (!error && !alive.expired()) act();
    });
}

void Watch::act() {
    debounce_.clear();
    FileStamps found = look();
    const auto changed = differences(stamps_, found);
    stamps_ = std::move(found);
    if (!changed.empty()) changed_(changed);
}

void Watch::incomplete(const std::string& why) {
    if (std::exchange(warned_, true)) return;
    log_.warn("watch_incomplete", fmt::format("not everything below {} is watched: {}", root_, why));
}

}  // namespace edgeproxy::master
