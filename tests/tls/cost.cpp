// SPDX-License-Identifier: Apache-2.0
// What a request of 128 bytes and its response (128 bytes, or the second argument) cost over TLS: run it twice under
// callgrind with different counts, the difference of the parent's instructions is the cost.
//   valgrind --tool=callgrind --callgrind-out-file=/tmp/cost.%p tls_cost 1000; the same with 3000
#include <cstdlib>
#include <iostream>

#include "far_client.hpp"
#include "peer.hpp"

using namespace edgeproxy;
using namespace edgeproxy::tls;

namespace {

io::Task<void> serves(Stream& stream, const Context& context, Windows& windows, std::size_t size, bool& ended) {
    const auto accepted = co_await stream.accept(context, windows);
    const std::string response(size, 'r');
    while (accepted.has_value()) {
        co_await stream.wait_readable();
        const io::Buffer buffer = windows.reactor().buffers().take_small();
        const auto got = co_await stream.read_some(buffer.span());
        if (got.has_error()) break;
        const auto put = co_await stream.write_all(response);
        if (put.has_error()) break;
    }
    ended = true;
}

void asks(SSL* ssl, int count, std::size_t size) {
    const std::string request(128, 'q');
    std::string response(size, ' ');
    std::size_t moved = 0;
    for (int i = 0; i < count; ++i) {
        SSL_write_ex(ssl, request.data(), request.size(), &moved);
        for (std::size_t got = 0; got < size; got += moved) SSL_read_ex(ssl, response.data(), response.size(), &moved);
    }
    SSL_shutdown(ssl);
}

}  // namespace

int main(int argc, char** argv) {
    const int count = argc > 1 ? std::atoi(argv[1]) : 1000;
    const std::size_t size = argc > 2 ? static_cast<std::size_t>(std::atol(argv[2])) : 128;
    io::Clock clock = io::Clock::real();
    World world;
    io::Reactor reactor{0, clock};
    auto fds = io::socket_pair();
    std::vector<io::UniqueFd> far;
    far.push_back(std::move(fds.second));
    const FarClients clients{std::move(far), [=](SSL* ssl) { asks(ssl, count, size); }};
    Stream stream{std::make_unique<io::Socket>(reactor, std::move(fds.first))};
    Windows windows{reactor};
    bool ended = false;
    reactor.spawn(serves(stream, world.context, windows, size, ended));
    while (!ended) reactor.run_once(std::chrono::seconds(1));
    std::cout << count << " requests over " << stream.tls_version() << "\n";
}
