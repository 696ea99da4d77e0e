// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/listen.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "upstream/control/message.hpp"

namespace edgeproxy::master {
namespace {

namespace fs = std::filesystem;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    bool dual_stack = false;

    int family() const { return storage.ss_family; }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

template <class T>
SocketAddress store(const T& address, bool dual_stack = false) {
    SocketAddress out;
    std::memcpy(&out.storage, &address, sizeof(address));
    out.size = sizeof(address);
    out.dual_stack = dual_stack;
    return out;
}

SocketAddress ipv4(in_addr host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr = host;
    address.sin_port = ::htons(port);
    return store(address);
}

SocketAddress ipv6(in6_addr host, std::uint16_t port, bool dual_stack) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = host;
    address.sin6_port = ::htons(port);
    return store(address, dual_stack);
}

bool have_ipv6() {
    const io::UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

std::vector<SocketAddress> unix_address(const config::Address& address) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    if (address.host.size() >= sizeof(out.sun_path)) return {};
    std::memcpy(out.sun_path, address.host.data(), address.host.size());
    return {store(out)};
}

// The socket addresses that an address stands for. Without a resolver: the master asks no network.
std::vector<SocketAddress> addresses_of(const config::Address& address) {
    if (address.is_unix()) return unix_address(address);
    if (address.host.empty() && have_ipv6()) return {ipv6(in6addr_any, address.port, true)};
    if (address.host.empty()) return {ipv4({INADDR_ANY}, address.port)};
    if (address.host == "localhost") {
        std::vector<SocketAddress> both{ipv4({::htonl(INADDR_LOOPBACK)}, address.port)};
        if (have_ipv6()) both.push_back(ipv6(in6addr_loopback, address.port, false));
        return both;
    }
    in_addr four{};
    if (::inet_pton(AF_INET, address.host.c_str(), &four) == 1) return {ipv4(four, address.port)};
    in6_addr six{};
    if (::inet_pton(AF_INET6, address.host.c_str(), &six) == 1) return {ipv6(six, address.port, false)};
    return {};
}

// A path is left behind by a process that was killed. If nobody answers on it, it may go.
void remove_stale(const SocketAddress& address, const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const io::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED) ::unlink(path.c_str());
}

std::string explain(const config::Address& address, int error) {
    const std::string where = address.to_string();
    if (error == EACCES || error == EPERM) {
        if (address.is_unix()) return fmt::format("cannot listen on {}: permission denied", where);
        std::error_code ignored;
        const std::string program = fs::read_symlink("/proc/self/exe", ignored);
        return fmt::format(
            "cannot listen on {}: permission denied. Run as a service, or: sudo setcap cap_net_bind_service=+ep {}, "
            "or use a port above 1023",
            where, program.empty() ? "edgeproxy" : program);
    }
    if (error == EADDRINUSE) {
        const std::string holder = address.is_unix() ? "" : holder_of(address.port);
        return fmt::format("cannot listen on {}: {}. Stop it, or choose another address", where,
                           holder.empty() ? "another process does" : "in use by " + holder);
    }
    if (error == EADDRNOTAVAIL)
        return fmt::format("cannot listen on {}: this machine does not have that address", where);
    return fmt::format("cannot listen on {}: {}", where, std::strerror(error));
}

// The socket, or errno.
int open_listener(const SocketAddress& address, const std::string& path, unsigned backlog, io::UniqueFd& out) {
    out.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!out) return errno;
    const int yes = 1, v6_only = address.dual_stack ? 0 : 1;
    if (address.family() == AF_UNIX) {
        remove_stale(address, path);
    } else if (::setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0) {
        return errno;
    }
    if (address.family() == AF_INET6) ::setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
    send_at_once(out.get());
    if (::bind(out.get(), address.get(), address.size) != 0) return errno;
    if (::listen(out.get(), static_cast<int>(backlog)) != 0) return errno;
    return 0;
}

// The port that the kernel chose for :0.
std::uint16_t port_of(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ::ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6) return ::ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return 0;
}

// The inodes of the sockets that listen on a port, from /proc/net/tcp and tcp6.
std::set<std::string> listening_inodes(std::uint16_t port) {
    std::set<std::string> inodes;
    const std::string wanted = fmt::format(":{:04X}", port);
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream file(table);
        std::string line;
        std::getline(file, line);
        while (std::getline(file, line)) {
            std::istringstream words(line);
            std::array<std::string, 10> field;
            for (std::string& word : field) words >> word;
            constexpr const char* listening = "0A";
            if (field[1].ends_with(wanted) && field[3] == listening) inodes.insert("socket:[" + field[9] + "]");
        }
    }
    return inodes;
}

bool has_open(const fs::path& process, const std::set<std::string>& links) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(process / "fd", ignored)) {
        if (links.count(fs::read_symlink(entry.path(), ignored).string()) != 0) return true;
    }
    return false;
}

}  // namespace

void send_at_once(int fd) {
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

std::string holder_of(std::uint16_t port) {
    const std::set<std::string> inodes = listening_inodes(port);
    if (inodes.empty()) return {};
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
        const std::string pid = entry.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos || !has_open(entry.path(), inodes)) continue;
        std::ifstream file(entry.path() / "comm");
        std::string name;
        std::getline(file, name);
        return fmt::format("{} (pid {})", name, pid);
    }
    return {};
}

std::optional<std::vector<ListenSocket>> bind_address(const std::string& name, const config::Address& address,
                                                      unsigned backlog, std::string& error) {
    const auto addresses = addresses_of(address);
    if (addresses.empty()) {
        error = fmt::format("cannot listen on {}: write an IP address, localhost or only :port", address.to_string());
        return std::nullopt;
    }
    std::vector<ListenSocket> out;
    for (const SocketAddress& one : addresses) {
        ListenSocket socket{name, address, {}, address, 0, {}};
        if (const int code = open_listener(one, address.host, backlog, socket.fd); code != 0) {
            error = explain(address, code);
            return std::nullopt;
        }
        if (address.is_unix()) socket.file = file_at(address.host);
        if (address.port == 0) socket.address.port = port_of(socket.fd.get());
        out.push_back(std::move(socket));
    }
    return out;
}

namespace {

std::optional<std::vector<ListenSocket>> take_passed(const std::string& name, const config::Address& address,
                                                     InheritedSockets& inherited, std::string& error) {
    std::vector<ListenSocket> out;
    for (io::UniqueFd& fd : inherited.claim(address.host)) {
        ListenSocket socket{name, address, std::move(fd), address, 0, {}};
        socket.address.port = port_of(socket.fd.get());
        out.push_back(std::move(socket));
    }
    if (!out.empty()) return out;
    error = fmt::format(
        "cannot listen on {}: no listening socket of that name was passed (LISTEN_FDNAMES). Start it by its socket "
        "unit "
        "with FileDescriptorName={}",
        address.to_string(), address.host);
    return std::nullopt;
}

}  // namespace

std::optional<std::vector<ListenSocket>> bind_all(const config::Config& config, InheritedSockets& inherited,
                                                  std::string& error) {
    constexpr unsigned metrics_backlog = 128;
    std::vector<ListenSocket> all;
    const auto add = [&](const std::string& name, const config::Address& address, unsigned backlog) {
        auto bound = address.is_inherited() ? take_passed(name, address, inherited, error)
                                            : bind_address(name, address, backlog, error);
        if (!bound) return false;
        for (ListenSocket& socket : *bound) all.push_back(std::move(socket));
        return true;
    };
    for (const config::Listener& listener : config.listeners) {
        for (const config::Address& address : listener.addresses) {
            if (!add(listener.name, address, listener.backlog)) return std::nullopt;
        }
    }
    if (config.metrics.enabled && !add(control::metrics_listener, config.metrics.listen, metrics_backlog)) {
        return std::nullopt;
    }
    return all;
}

SocketFile file_at(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return {};
    return {status.st_dev, status.st_ino};
}

// Somebody may have put something else there since: another instance its socket, for which ours had to make room.
void unlink_path(const ListenSocket& socket) {
    const bool ours = socket.file != SocketFile{} && file_at(socket.address.host) == socket.file;
    if (socket.address.is_unix() && ours) ::unlink(socket.address.host.c_str());
}

void unlink_paths(const std::vector<ListenSocket>& sockets) {
    for (const ListenSocket& socket : sockets) unlink_path(socket);
}

}  // namespace edgeproxy::master
