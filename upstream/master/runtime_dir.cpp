// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/runtime_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "upstream/control/command.hpp"
#include "upstream/control/holder.hpp"

namespace edgeproxy::master {
namespace {

namespace fs = std::filesystem;

control::Holder holder_of(int lock) {
    std::array<char, 8192> text{};
    const ssize_t n = ::pread(lock, text.data(), text.size(), 0);
    return control::decode_holder({text.data(), n > 0 ? static_cast<std::size_t>(n) : 0});
}

bool say_holder(int lock, const std::string& runs) {
    const std::string text = control::encode({::getpid(), runs});
    return ::ftruncate(lock, 0) == 0 && ::pwrite(lock, text.data(), text.size(), 0) >= 0;
}

std::string held_by_another(const control::Holder& holder, const std::string& path, const std::string& runs) {
    if (control::is_file(holder.runs) && control::is_file(runs) && control::is_same_file(holder.runs, runs)) {
        return fmt::format(
            "already running (pid {}): {}; edgeproxy reload takes over what changed there, "
            "edgeproxy stop ends it",
            holder.pid, runs);
    }
    const char* const how = runs == "edgeproxy run"   ? "by --runtime-dir DIRECTORY"
                            : runs == "edgeproxy dev" ? "by another --port"
                                                      : "by server.runtime_dir";
    const std::string what = holder.runs.empty() ? std::string() : " with " + holder.runs;
    return fmt::format("another edgeproxy (pid {}) runs{} on runtime_dir {}; give this one its own {}", holder.pid,
                       what, path, how);
}

// Nobody else may be able to put something into it: then a path below it is ours.
bool is_safe(const std::string& path, std::string& error) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        error = fmt::format("runtime_dir {} is not a directory", path);
    } else if (status.st_uid != ::geteuid()) {
        error = fmt::format("runtime_dir {} belongs to uid {}, not to us", path, status.st_uid);
    } else if ((status.st_mode & 022) != 0) {
        error = fmt::format("runtime_dir {} can be written by others (mode {:o})", path, status.st_mode & 07777);
    }
    return error.empty();
}

bool make_level(const std::string& path, mode_t mode, std::string& error) {
    if (::mkdir(path.c_str(), mode) == 0) {
        ::chmod(path.c_str(), mode);  // a umask may have taken what others need
    } else if (errno != EEXIST) {
        error = fmt::format("cannot make {}: {}", path, std::strerror(errno));
        return false;
    }
    return is_safe(path, error);
}

void sweep(const std::string& path) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(path, ignored)) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") == std::string::npos) fs::remove_all(entry.path(), ignored);
    }
}

}  // namespace

std::unique_ptr<RuntimeDir> RuntimeDir::take(const std::string& path, bool shared, const std::string& runs,
                                             std::string& error) {
    if (path.size() + path_reserve > sizeof(sockaddr_un::sun_path)) {
        error = fmt::format("runtime_dir {} is too long: {} bytes, at most {} fit a socket's path", path, path.size(),
                            sizeof(sockaddr_un::sun_path) - path_reserve);
        return nullptr;
    }
    std::error_code made;
    fs::create_directories(fs::path(path).parent_path(), made);
    const mode_t mode = shared ? 0711 : 0700;
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        error = fmt::format("cannot make runtime_dir {}: {}", path, std::strerror(errno));
        return nullptr;
    }
    if (!is_safe(path, error)) return nullptr;
    const std::string lock_path = path + "/" + control::lock_file;
    io::UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) {
        error = fmt::format("cannot open {}: {}", lock_path, std::strerror(errno));
        return nullptr;
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        error = held_by_another(holder_of(lock.get()), path, runs);
        return nullptr;
    }
    if (!say_holder(lock.get(), runs)) {
        error = fmt::format("cannot write {}: {}", lock_path, std::strerror(errno));
        return nullptr;
    }
    sweep(path);
    // A umask may have taken what others need, and an old directory may have another mode.
    ::chmod(path.c_str(), mode);
    const std::string run = path + "/" + std::to_string(::getpid());
    if (::mkdir(run.c_str(), mode) != 0 || ::chmod(run.c_str(), mode) != 0) {
        error = fmt::format("cannot make {}: {}", run, std::strerror(errno));
        return nullptr;
    }
    return std::unique_ptr<RuntimeDir>(new RuntimeDir(run, std::move(lock), mode));
}

std::unique_ptr<RuntimeDir> RuntimeDir::adopt(std::string path, io::UniqueFd lock, const std::string& runs) {
    if (holder_of(lock.get()).runs.empty()) say_holder(lock.get(), runs);
    struct stat status {};
    constexpr unsigned permissions = 0777, passable = 0711;
    const unsigned mode = ::lstat(path.c_str(), &status) == 0 ? status.st_mode & permissions : passable;
    return std::unique_ptr<RuntimeDir>(new RuntimeDir(std::move(path), std::move(lock), mode));
}

bool RuntimeDir::is_there() const {
    return ::access(path_.c_str(), F_OK) == 0;
}

// Somebody else may be the first to make them: what is found is looked at as at the start.
bool RuntimeDir::restore(std::string& error) const {
    error.clear();
    const fs::path above = fs::path(path_).parent_path();
    std::error_code ignored;
    fs::create_directories(above.parent_path(), ignored);
    return make_level(above, mode_, error) && make_level(path_, mode_, error);
}

std::string RuntimeDir::control_path() const {
    return path_.substr(0, path_.rfind('/') + 1) + control::control_socket;
}

RuntimeDir::~RuntimeDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

}  // namespace edgeproxy::master
