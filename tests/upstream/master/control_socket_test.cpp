// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/control_socket.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

io::UniqueFd connect_to(const std::string& path) {
    io::UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const io::SocketAddress address = unix_address(path);
    REQUIRE(::connect(fd.get(), &address.any, address.size) == 0);
    return fd;
}

/// While it lives no further descriptor is to be had.
class NoDescriptors {
 public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const io::UniqueFd next(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
        const rlimit none{static_cast<rlim_t>(next.get()), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
    rlimit before_{};
};

TEST_CASE("without a descriptor for a client the loop rests, and lets it in when there is one", "[control_socket]") {
    Scratch scratch;
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::error};
    int asked = 0;
    ControlSocket socket(
        loop, log,
        [&](const control::Request&, std::shared_ptr<Asker> asker) {
            ++asked;
            asker->done(0);
        },
        [] {});
    std::string error;
    REQUIRE(socket.open(scratch.path("control.sock"), error));
    const io::UniqueFd client = connect_to(scratch.path("control.sock"));
    const std::string request = *control::encode(control::Request{});
    REQUIRE(::send(client.get(), request.data(), request.size(), 0) > 0);
    {
        const NoDescriptors none;
        CHECK(loop.run_for(550ms) <= 16);  // some for each pause, not one for each turn of a spin
        CHECK(asked == 0);
    }
    for (int left = 1000; left > 0 && asked == 0; --left) loop.run_for(10ms);
    CHECK(asked == 1);
}

}  // namespace
}  // namespace edgeproxy::master
