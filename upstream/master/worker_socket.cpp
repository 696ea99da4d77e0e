// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/worker_socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace edgeproxy::master {
namespace {

constexpr uid_t same_uid = static_cast<uid_t>(-1);
constexpr gid_t same_gid = static_cast<gid_t>(-1);

uid_t worker_uid(const SocketOwners& owners) {
    return owners.worker ? owners.worker->uid : same_uid;
}
gid_t proxy_gid(const SocketOwners& owners) {
    return owners.proxy ? owners.proxy->gid : same_gid;
}

bool fails(const char* what, const std::string& path, std::string& error) {
    error = fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
    return false;
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    return address;
}

}  // namespace

std::unique_ptr<WorkerSocket> WorkerSocket::make(config::Bind bind, const std::string& run_dir,
                                                 control::Incarnation incarnation, const SocketOwners& owners,
                                                 std::string& error) {
    std::unique_ptr<WorkerSocket> socket(new WorkerSocket);
    if (bind == config::Bind::tcp) return socket->choose_port(error) ? std::move(socket) : nullptr;
    socket->folder_ = fmt::format("{}/w{}", run_dir, incarnation);
    socket->path_ = socket->folder_ + "/s";
    if (bind == config::Bind::fd) socket->link_ = socket->folder_ + ".sock";
    socket->address_ = {config::Address::Kind::unix_path, bind == config::Bind::fd ? socket->link_ : socket->path_, 0};
    const bool made =
        socket->make_folder(owners, error) && (bind == config::Bind::unix_path || socket->make_listener(owners, error));
    // Last, since afterwards we may no longer write into it.
    if (made && ::chown(socket->folder_.c_str(), worker_uid(owners), proxy_gid(owners)) != 0) {
        fails("give away", socket->folder_, error);
        return nullptr;
    }
    return made ? std::move(socket) : nullptr;
}

std::unique_ptr<WorkerSocket> WorkerSocket::adopt(const Memory& memory) {
    std::unique_ptr<WorkerSocket> socket(new WorkerSocket);
    socket->address_ = memory.address;
    socket->folder_ = memory.folder;
    socket->path_ = memory.path;
    socket->link_ = memory.link;
    socket->held_ = memory.held;
    socket->open_ = memory.open;
    return socket;
}

bool WorkerSocket::make_folder(const SocketOwners&, std::string& error) {
    if (::mkdir(folder_.c_str(), 0710) != 0 || ::chmod(folder_.c_str(), 0710) != 0)
        return fails("make", folder_, error);
    return true;
}

bool WorkerSocket::make_listener(const SocketOwners& owners, std::string& error) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path_);
    if (!listener_ || ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return fails("bind", path_, error);
    }
    // While it is ours: fs.protected_hardlinks forbids a link to what is another's, and its mode is its owner's to
    // change.
    if (::link(path_.c_str(), link_.c_str()) != 0) return fails("link", link_, error);
    if (::chmod(path_.c_str(), 0660) != 0 || ::chown(path_.c_str(), worker_uid(owners), proxy_gid(owners)) != 0) {
        return fails("give away", path_, error);
    }
    if (::listen(listener_.get(), backlog) != 0) return fails("listen on", path_, error);
    held_ = true;
    return true;
}

bool WorkerSocket::choose_port(std::string& error) {
    const io::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return fails("choose a port on", "127.0.0.1", error);
    }
    address_ = {config::Address::Kind::tcp, "127.0.0.1", ::ntohs(address.sin_port)};
    return true;
}

bool WorkerSocket::open_to_proxy(const SocketOwners& owners) {
    const bool same = owners.worker == owners.proxy;
    if (open_ || held_ || path_.empty() || same) return true;
    const io::UniqueFd fd(::open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    // Ours first, so that the mode may be changed by us; the worker has the socket open and needs no name.
    const std::string self = fmt::format("/proc/self/fd/{}", fd.get());
    open_ = ::fchownat(fd.get(), "", ::geteuid(), proxy_gid(owners), AT_EMPTY_PATH) == 0 &&
            ::chmod(self.c_str(), 0660) == 0;
    return open_;
}

WorkerSocket::~WorkerSocket() {
    if (folder_.empty()) return;
    if (!link_.empty()) ::unlink(link_.c_str());
    [[maybe_unused]] const int mine =
        ::chown(folder_.c_str(), ::geteuid(), same_gid);  // so that we may write in it again
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
}

}  // namespace edgeproxy::master
