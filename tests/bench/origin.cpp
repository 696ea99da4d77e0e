// SPDX-License-Identifier: Apache-2.0
// The origin behind the proxies that tests/bench/run.py compares: HTTP/1.1 with keep-alive, one thread, one epoll set.
// GET /128 and GET /16k answer 128 and 16,384 bytes; anything else 404. It is fast rather than complete: requests have
// no body, heads fit 8 KiB, and a client that breaks either rule is cut off.
//
//   edgeproxy-bench-origin PORT        listens on 127.0.0.1 until it is killed

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t max_head = 8192;
constexpr std::size_t max_unsent = 1U << 20;

/// One accepted connection: bytes of an unfinished head, and answers that the socket did not take yet.
struct Connection {
    std::array<char, max_head> in{};
    std::size_t used = 0;
    std::string out;
    bool waits_for_room = false;
};

std::string answer(std::string_view status, std::size_t length) {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nContent-Length: ");
    text.append(std::to_string(length)).append("\r\n\r\n");
    return text.append(length, 'x');
}

class Origin {
 public:
    explicit Origin(std::uint16_t port);
    [[noreturn]] void run();

 private:
    void accept_all();
    void on_event(int socket, std::uint32_t events);
    bool receive(int socket, Connection& connection);
    bool answer_heads(Connection& connection) const;
    bool flush(int socket, Connection& connection);
    void watch(int socket, std::uint32_t events, int operation) const;
    void drop(int socket);

    int listener_;
    int epoll_;
    std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
    std::string small_ = answer("200 OK", 128);
    std::string large_ = answer("200 OK", 16384);
    std::string missing_ = answer("404 Not Found", 0);
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

Origin::Origin(std::uint16_t port)
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    if (listen(listener_, 4096) != 0) fail("listen");
    watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
}

void Origin::run() {
    std::array<epoll_event, 512> events{};
    for (;;) {
        const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            if (event.data.fd == listener_) {
                accept_all();
            } else {
                on_event(event.data.fd, event.events);
            }
        }
    }
}

void Origin::accept_all() {
    for (;;) {
        const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) return;
        const int on = 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        const auto index = static_cast<std::size_t>(socket);
        if (connections_.size() <= index) connections_.resize(index + 1);
        connections_[index] = std::make_unique<Connection>();
        watch(socket, EPOLLIN, EPOLL_CTL_ADD);
    }
}

void Origin::on_event(int socket, std::uint32_t events) {
    auto& connection = *connections_[static_cast<std::size_t>(socket)];
    if ((events & EPOLLOUT) != 0 && !flush(socket, connection)) return drop(socket);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    if (!receive(socket, connection) || !answer_heads(connection) || !flush(socket, connection)) drop(socket);
}

bool Origin::receive(int socket, Connection& connection) {
    const auto room = connection.in.size() - connection.used;
    const auto count = recv(socket, connection.in.data() + connection.used, room, 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.used += static_cast<std::size_t>(count);
    return count > 0;
}

// Answers every complete head; false if the client is to be cut off.
bool Origin::answer_heads(Connection& connection) const {
    std::string_view rest(connection.in.data(), connection.used);
    for (;;) {
        const auto end = rest.find("\r\n\r\n");
        if (end == std::string_view::npos) break;
        if (rest.starts_with("GET /128 ")) {
            connection.out += small_;
        } else if (rest.starts_with("GET /16k ")) {
            connection.out += large_;
        } else {
            connection.out += missing_;
        }
        rest.remove_prefix(end + 4);
    }
    if (rest.size() != connection.used) std::memmove(connection.in.data(), rest.data(), rest.size());
    connection.used = rest.size();
    return connection.used < connection.in.size() && connection.out.size() < max_unsent;
}

bool Origin::flush(int socket, Connection& connection) {
    if (!connection.out.empty()) {
        const auto count = send(socket, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (count > 0) connection.out.erase(0, static_cast<std::size_t>(count));
    }
    const bool wait = !connection.out.empty();
    if (wait != connection.waits_for_room) {
        connection.waits_for_room = wait;
        watch(socket, wait ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
}

void Origin::watch(int socket, std::uint32_t events, int operation) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = socket;
    if (epoll_ctl(epoll_, operation, socket, &event) != 0) fail("epoll_ctl");
}

void Origin::drop(int socket) {
    close(socket);
    connections_[static_cast<std::size_t>(socket)].reset();
}

}  // namespace

int main(int argc, char** argv) {
    const long port = argc == 2 ? std::strtol(argv[1], nullptr, 10) : 0;
    if (port <= 0 || port > 65535) {
        std::fputs("usage: edgeproxy-bench-origin PORT\n", stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    Origin(static_cast<std::uint16_t>(port)).run();
}
