// SPDX-License-Identifier: Apache-2.0
// Where things are: the runtime directory, worker sockets, listeners.
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

#include "support.hpp"
#include "upstream/master/listen.hpp"
#include "upstream/master/privilege.hpp"
#include "upstream/master/runtime_dir.hpp"
#include "upstream/master/worker_socket.hpp"

namespace edgeproxy::master {
namespace {

// 0 or errno.
int connect_to(const std::string& path) {
    const io::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const io::SocketAddress address = unix_address(path);
    return ::connect(fd.get(), &address.any, address.size) == 0 ? 0 : errno;
}

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

unsigned mode_of(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST_CASE("one master at a time holds a runtime directory, and the next one sweeps", "[runtime_dir]") {
    Scratch scratch;
    const std::string path = scratch.path("run/edgeproxy");
    std::string error;
    {
        const auto held = RuntimeDir::take(path, false, "/etc/stack.yaml", error);
        REQUIRE(held);
        CHECK(held->path() == path + "/" + std::to_string(::getpid()));
        CHECK(mode_of(held->path()) == 0700);
        CHECK_FALSE(RuntimeDir::take(path, false, "/etc/stack.yaml", error));
        CHECK(error.find("(pid " + std::to_string(::getpid()) + ")") != std::string::npos);
    }
    CHECK_FALSE(exists(path + "/" + std::to_string(::getpid())));
    ::mkdir((path + "/99999999").c_str(), 0700);
    ::mkdir((path + "/99999999/w1").c_str(), 0710);
    ::mkdir((path + "/keep").c_str(), 0700);
    error.clear();
    const auto again = RuntimeDir::take(path, true, "edgeproxy run", error);
    REQUIRE(again);
    CHECK(mode_of(again->path()) == 0711);
    CHECK_FALSE(exists(path + "/99999999"));
    CHECK(exists(path + "/keep"));
}

TEST_CASE("a runtime directory that is removed while it is used is made again as it was", "[runtime_dir]") {
    const bool shared = GENERATE(false, true);
    Scratch scratch;
    std::string error;
    const auto dir = RuntimeDir::take(scratch.path("above/run"), shared, "edgeproxy run", error);
    REQUIRE(dir);
    CHECK(dir->is_there());
    std::filesystem::remove_all(scratch.path("above"));
    CHECK_FALSE(dir->is_there());
    REQUIRE(dir->restore(error));
    CHECK(dir->is_there());
    CHECK(mode_of(dir->path()) == (shared ? 0711u : 0700u));
    CHECK(mode_of(scratch.path("above/run")) == (shared ? 0711u : 0700u));

    std::filesystem::remove_all(dir->path());
    std::filesystem::create_symlink("/tmp", dir->path());
    CHECK_FALSE(dir->restore(error));
    CHECK(error.find("is not a directory") != std::string::npos);
    ::unlink(dir->path().c_str());
}

TEST_CASE("a runtime directory that others can write, or that is too long, is refused", "[runtime_dir]") {
    Scratch scratch;
    std::string error;
    const std::string open = scratch.path("open");
    ::mkdir(open.c_str(), 0777);
    ::chmod(open.c_str(), 0777);
    CHECK_FALSE(RuntimeDir::take(open, false, "", error));
    CHECK(error.find("can be written by others") != std::string::npos);

    error.clear();
    const std::string link = scratch.path("link");
    REQUIRE(::symlink("/tmp", link.c_str()) == 0);
    CHECK_FALSE(RuntimeDir::take(link, false, "", error));
    CHECK(error.find("not a directory") != std::string::npos);

    error.clear();
    CHECK_FALSE(RuntimeDir::take(scratch.path(std::string(80, 'x')), false, "", error));
    CHECK(error.find("too long") != std::string::npos);

    error.clear();
    write_file(scratch.path("file"), "");
    CHECK_FALSE(RuntimeDir::take(scratch.path("file/run"), false, "", error));
    CHECK_FALSE(error.empty());
}

TEST_CASE("a worker's socket listens before the worker lives and refuses once nobody holds it", "[worker_socket]") {
    Scratch scratch;
    std::string error;
    auto socket = WorkerSocket::make(config::Bind::fd, scratch.path(), 12, {}, error);
    REQUIRE(socket);
    CHECK(socket->is_held());
    CHECK(socket->address().host == scratch.path("w12.sock"));
    CHECK(socket->path() == scratch.path("w12/s"));
    CHECK(mode_of(scratch.path("w12")) == 0710);
    CHECK(mode_of(scratch.path("w12/s")) == 0660);
    CHECK(connect_to(scratch.path("w12.sock")) == 0);

    // gunicorn unlinks the name that it knows when it stops: ours stays.
    ::unlink(socket->path().c_str());
    CHECK(connect_to(scratch.path("w12.sock")) == 0);

    socket->close_listener();
    CHECK(socket->listener() == -1);
    CHECK(connect_to(scratch.path("w12.sock")) == ECONNREFUSED);
    socket.reset();
    CHECK_FALSE(exists(scratch.path("w12.sock")));
    CHECK_FALSE(exists(scratch.path("w12")));
}

TEST_CASE("other kinds get a path or a port of their own", "[worker_socket]") {
    Scratch scratch;
    std::string error;
    const auto path = WorkerSocket::make(config::Bind::unix_path, scratch.path(), 1, {}, error);
    REQUIRE(path);
    CHECK_FALSE(path->is_held());
    CHECK(path->address().host == path->path());
    CHECK(path->listener() == -1);
    CHECK(path->open_to_proxy({}));

    const auto port = WorkerSocket::make(config::Bind::tcp, scratch.path(), 2, {}, error);
    REQUIRE(port);
    CHECK(port->address().host == "127.0.0.1");
    CHECK(port->address().port > 1023);
    CHECK(port->path().empty());

    CHECK_FALSE(WorkerSocket::make(config::Bind::fd, scratch.path("missing"), 3, {}, error));
    CHECK(error.find("missing/w3") != std::string::npos);
}

TEST_CASE("between different users only the worker's and the proxy's may come near a socket", "[worker_socket]") {
    if (::geteuid() != 0) return;
    const SocketOwners owners{Identity{4001, 4001, {4001}}, Identity{4002, 4002, {4002}}};
    const auto as = [](unsigned id, const std::function<int()>& body) {
        return in_child([&] {
            if (::setgroups(0, nullptr) != 0 || ::setgid(id) != 0 || ::setuid(id) != 0) return 99;
            return body();
        });
    };
    Scratch scratch;
    ::chmod(scratch.path().c_str(), 0711);
    std::string error;
    auto held = WorkerSocket::make(config::Bind::fd, scratch.path(), 1, owners, error);
    REQUIRE(held);
    CHECK(as(4002, [&] { return connect_to(held->address().host); }) == 0);
    CHECK(as(4003, [&] { return connect_to(held->address().host); }) == EACCES);
    CHECK(as(4001, [&] { return ::unlink(held->path().c_str()); }) == 0);

    auto own = WorkerSocket::make(config::Bind::unix_path, scratch.path(), 2, owners, error);
    REQUIRE(own);
    CHECK_FALSE(own->open_to_proxy(owners));
    // A link instead of a socket is not followed.
    CHECK(as(4001, [&] { return ::symlink("/etc/passwd", own->path().c_str()); }) == 0);
    CHECK_FALSE(own->open_to_proxy(owners));
    CHECK(mode_of("/etc/passwd") == 0644);
    CHECK(as(4001, [&] { return ::unlink(own->path().c_str()); }) == 0);

    io::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const io::SocketAddress address = unix_address(own->path());
    REQUIRE(::bind(listener.get(), &address.any, address.size) == 0);
    REQUIRE(::listen(listener.get(), 8) == 0);
    REQUIRE(::chown(own->path().c_str(), 4001, 4001) == 0);
    REQUIRE(::chmod(own->path().c_str(), 0755) == 0);
    CHECK(as(4002, [&] { return connect_to(own->path()); }) == EACCES);
    CHECK(own->open_to_proxy(owners));
    CHECK(as(4002, [&] { return connect_to(own->path()); }) == 0);
    CHECK(as(4003, [&] { return connect_to(own->path()); }) == EACCES);
    held.reset();
    own.reset();
    CHECK_FALSE(exists(scratch.path("w1")));
    CHECK_FALSE(exists(scratch.path("w2")));
}

// As the master does it: CAP_FOWNER, with which others' files may be linked, is not among what it keeps.
TEST_CASE("with no more rights than the master keeps a socket is made for another user, and taken away",
          "[worker_socket]") {
    if (::geteuid() != 0) return;
    const SocketOwners owners{Identity{4001, 4001, {4001}}, Identity{4002, 4002, {4002}}};
    Scratch scratch;
    for (const config::Bind bind : {config::Bind::fd, config::Bind::unix_path}) {
        CHECK(in_child([&] {
                  std::string error;
                  if (!drop_capabilities(error)) return 1;
                  auto socket = WorkerSocket::make(bind, scratch.path(), 1, owners, error);
                  if (!socket) return 2;
                  socket.reset();
                  return exists(scratch.path("w1")) || exists(scratch.path("w1.sock")) ? 3 : 0;
              }) == 0);
    }
}

config::Address tcp(const std::string& host, std::uint16_t port = 0) {
    return {config::Address::Kind::tcp, host, port};
}

TEST_CASE("every way to write an address is bound, with the port that it got", "[listen]") {
    std::string error;
    for (const char* host : {"127.0.0.1", ""}) {
        const auto sockets = bind_address("web", tcp(host), 16, error);
        REQUIRE(sockets.has_value());
        REQUIRE(sockets->size() == 1);
        CHECK(sockets->front().name == "web");
        CHECK(sockets->front().address.port > 0);
        CHECK((::fcntl(sockets->front().fd.get(), F_GETFL) & O_NONBLOCK) != 0);
        CHECK(::fcntl(sockets->front().fd.get(), F_GETFD) == FD_CLOEXEC);
    }
    CHECK_FALSE(bind_address("web", tcp("no.such.name"), 16, error).has_value());
    CHECK(error.find("write an IP address") != std::string::npos);
    CHECK_FALSE(bind_address("web", tcp("192.0.2.1", 8080), 16, error).has_value());
    CHECK(error.find("this machine does not have that address") != std::string::npos);
}

TEST_CASE("connections that our listening sockets accept send at once", "[master][listen]") {
    std::string error;
    const auto sockets = bind_address("web", tcp("127.0.0.1"), 16, error);
    REQUIRE(sockets);
    const io::SocketAddress to = loopback(sockets->front().address.port);
    const io::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), &to.any, to.size) == 0);
    const io::UniqueFd accepted(::accept4(sockets->front().fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(accepted);
    int on = 0;
    socklen_t size = sizeof on;
    REQUIRE(::getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0);
    CHECK(on != 0);
}

TEST_CASE("a port in use is told with the process that holds it", "[listen]") {
    std::string error;
    const auto first = bind_address("web", tcp("127.0.0.1"), 16, error);
    REQUIRE(first.has_value());
    CHECK_FALSE(bind_address("web", tcp("127.0.0.1", first->front().address.port), 16, error).has_value());
    CHECK(error.find("in use by master_test (pid " + std::to_string(::getpid()) + ")") != std::string::npos);
}

TEST_CASE("a port that one may not have is told with the remedy", "[listen]") {
    if (::geteuid() != 0 || std::stoi(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start")) <= 80) return;
    const int code = in_child([] {
        if (::setuid(65534) != 0) return 9;
        std::string error;
        if (bind_address("web", tcp("127.0.0.1", 79), 16, error)) return 8;
        return error.find("cap_net_bind_service=+ep") != std::string::npos ? 0 : 1;
    });
    CHECK(code == 0);
}

TEST_CASE("only what we have made at a unix path is removed from it", "[listen]") {
    Scratch scratch;
    const config::Address address{config::Address::Kind::unix_path, scratch.path("web.sock"), 0};
    std::string error;
    auto ours = bind_address("web", address, 16, error);
    REQUIRE(ours.has_value());
    CHECK(ours->front().file == file_at(address.host));
    ::rename(address.host.c_str(), scratch.path("kept").c_str());  // so that its inode is not given to another
    const auto another = bind_address("web", address, 16, error);
    REQUIRE(another.has_value());
    unlink_paths(*ours);
    CHECK(connect_to(address.host) == 0);
    unlink_paths(*another);
    CHECK_FALSE(exists(address.host));
    write_file(address.host, "precious");
    unlink_paths(*ours);
    CHECK(read_file(address.host) == "precious");
}

TEST_CASE("a unix path left behind is taken over, one that is served is not", "[listen]") {
    Scratch scratch;
    const config::Address address{config::Address::Kind::unix_path, scratch.path("web.sock"), 0};
    std::string error;
    auto first = bind_address("web", address, 16, error);
    REQUIRE(first.has_value());
    CHECK_FALSE(bind_address("web", address, 16, error).has_value());
    first.reset();  // killed: the path stays
    CHECK(exists(address.host));
    const auto second = bind_address("web", address, 16, error);
    REQUIRE(second.has_value());
    unlink_paths(*second);
    CHECK_FALSE(exists(address.host));
    write_file(address.host, "precious");
    CHECK_FALSE(bind_address("web", address, 16, error).has_value());
    CHECK(read_file(address.host) == "precious");
}

}  // namespace
}  // namespace edgeproxy::master
