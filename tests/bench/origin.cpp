// SPDX-License-Identifier: Apache-2.0
// The origin behind the proxies that tests/bench/run.py compares: HTTP/1.1 with keep-alive, one thread, one epoll set.
//
//   GET /128, /16k, /bytes/N   so many bytes
//   PUT /sink                  takes in the body, which has a Content-Length, and answers without one
//   GET /echo                  a WebSocket for the one key that tests/bench/tunnels.py has; sends back what comes
//
// Anything else gets 404. It is fast rather than complete: heads fit 8 KiB, and who breaks a rule is cut off.
//
//   edgeproxy-bench-origin PORT        listens on 127.0.0.1 until it is killed

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loopback.hpp"

namespace {

constexpr std::size_t max_head = 8192;
constexpr std::size_t max_unsent = 1U << 20;
constexpr std::size_t block = 1U << 18;

constexpr std::string_view switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// One accepted connection: bytes of an unfinished head, and answers that the socket did not take yet.
struct Connection {
    std::array<char, max_head> in{};
    std::size_t used = 0;
    std::string out;
    std::uint64_t bytes_to_send = 0;  ///< of a body, behind `out`
    std::uint64_t bytes_to_take = 0;  ///< of a request's body
    bool echoes = false;
    bool waits_for_room = false;
};

std::string head(std::string_view status, std::uint64_t length) {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nContent-Length: ");
    return text.append(std::to_string(length)).append("\r\n\r\n");
}

std::string answer(std::string_view status, std::size_t length) {
    return head(status, length).append(length, 'x');
}

/// The number behind the first `before` in a text, in whatever case; 0 when there is none.
std::uint64_t number_behind(std::string_view text, std::string_view before) {
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    const auto found = std::search(text.begin(), text.end(), before.begin(), before.end(), same);
    std::uint64_t number = 0;
    if (found != text.end()) {
        const char* const begin = text.data() + (found - text.begin()) + before.size();
        std::from_chars(begin, text.data() + text.size(), number);
    }
    return number;
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
    void answer_head(std::string_view head, Connection& connection) const;
    bool flush(int socket, Connection& connection);
    bool send_body(int socket, Connection& connection) const;
    void watch(int socket, std::uint32_t events, int operation) const;
    void drop(int socket);

    int listener_;
    int epoll_;
    std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
    std::string small_ = answer("200 OK", 128);
    std::string large_ = answer("200 OK", 16384);
    std::string missing_ = answer("404 Not Found", 0);
    std::string taken_ = answer("200 OK", 0);
    std::string block_ = std::string(block, 'x');
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

Origin::Origin(std::uint16_t port)
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const edgeproxy::io::SocketAddress address = edgeproxy::bench::loopback(port);
    if (bind(listener_, &address.any, address.size) != 0) fail("bind");
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
    if (connection.bytes_to_take > 0) {
        // Taken out of the socket without being looked at.
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(connection.bytes_to_take, block));
        const auto count = recv(socket, nullptr, most, MSG_TRUNC);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        connection.bytes_to_take -= static_cast<std::uint64_t>(count);
        if (connection.bytes_to_take == 0) connection.out += taken_;
        return count > 0;
    }
    const auto room = connection.in.size() - connection.used;
    const auto count = recv(socket, connection.in.data() + connection.used, room, 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    connection.used += static_cast<std::size_t>(count);
    return count > 0;
}

// Answers every complete head; false if the client is to be cut off.
bool Origin::answer_heads(Connection& connection) const {
    std::string_view rest(connection.in.data(), connection.used);
    while (!rest.empty()) {
        if (connection.echoes) {
            connection.out += rest;
            rest = {};
        } else if (connection.bytes_to_take > 0) {
            const auto taken = std::min<std::uint64_t>(rest.size(), connection.bytes_to_take);
            connection.bytes_to_take -= taken;
            rest.remove_prefix(static_cast<std::size_t>(taken));
            if (connection.bytes_to_take == 0) connection.out += taken_;
        } else {
            const auto end = rest.find("\r\n\r\n");
            if (end == std::string_view::npos || connection.bytes_to_send > 0) break;
            answer_head(rest.substr(0, end), connection);
            rest.remove_prefix(end + 4);
        }
    }
    if (rest.size() != connection.used) std::memmove(connection.in.data(), rest.data(), rest.size());
    connection.used = rest.size();
    return connection.used < connection.in.size() && connection.out.size() < max_unsent;
}

void Origin::answer_head(std::string_view asked, Connection& connection) const {
    if (asked.starts_with("GET /128 ")) {
        connection.out += small_;
    } else if (asked.starts_with("GET /16k ")) {
        connection.out += large_;
    } else if (asked.starts_with("GET /bytes/")) {
        connection.bytes_to_send = number_behind(asked, "/bytes/");
        connection.out += head("200 OK", connection.bytes_to_send);
    } else if (asked.starts_with("PUT /sink ")) {
        connection.bytes_to_take = number_behind(asked, "\r\ncontent-length: ");
        if (connection.bytes_to_take == 0) connection.out += taken_;
    } else if (asked.starts_with("GET /echo ")) {
        connection.echoes = true;
        connection.out += switching;
    } else {
        connection.out += missing_;
    }
}

bool Origin::flush(int socket, Connection& connection) {
    if (!connection.out.empty()) {
        const auto count = send(socket, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (count > 0) connection.out.erase(0, static_cast<std::size_t>(count));
    }
    if (connection.out.empty() && !send_body(socket, connection)) return false;
    const bool wait = !connection.out.empty() || connection.bytes_to_send > 0;
    if (wait != connection.waits_for_room) {
        connection.waits_for_room = wait;
        watch(socket, wait ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
}

bool Origin::send_body(int socket, Connection& connection) const {
    while (connection.bytes_to_send > 0) {
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(connection.bytes_to_send, block));
        const auto count = send(socket, block_.data(), most, MSG_NOSIGNAL);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        connection.bytes_to_send -= static_cast<std::uint64_t>(count);
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
