// SPDX-License-Identifier: Apache-2.0

// Load of the measurements for which there is no usual tool: TLS 1.3 connections that resume a session, one request on
// each.
//
//     edgeproxy-bench-resume PORT REQUESTS AT_ONCE BODY_BYTES
//
// Each of AT_ONCE clients makes one connection after another, with the session of the one before. Prints `REQUESTS
// SECONDS`, the first full handshakes not counted; exit 1 and one line if an answer was wrong or a session not resumed.

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loopback.hpp"

namespace {

using edgeproxy::bench::connect_loopback;
using edgeproxy::bench::fail;

constexpr std::string_view request = "GET /128 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
constexpr int patience_ms = 30'000;

struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

/// One connection after another; at most one at a time.
class Client {
 public:
    Client(int epoll, SSL_CTX* context, std::uint16_t port, std::string body)
        : epoll_(epoll), context_(context), port_(port), body_(std::move(body)) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void begin() {
        fd_ = connect_loopback(port_, SOCK_NONBLOCK);
        ssl_.reset(SSL_new(context_));
        SSL_set_app_data(ssl_.get(), this);
        SSL_set_fd(ssl_.get(), fd_);
        SSL_set_connect_state(ssl_.get());
        if (session_) SSL_set_session(ssl_.get(), session_.get());
        resumes_ = session_ != nullptr;
        sent_ = false;
        answer_.clear();
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.ptr = this;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
    }

    /// Goes on as far as it can. True: the connection is over, and its answer was right.
    bool go_on() {
        if (!sent_) {
            std::size_t count = 0;
            if (SSL_write_ex(ssl_.get(), request.data(), request.size(), &count) != 1) return must_wait();
            sent_ = true;
        }
        std::array<char, 4096> buffer;
        std::size_t count = 0;
        while (SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count) == 1) answer_.append(buffer.data(), count);
        const int error = SSL_get_error(ssl_.get(), 0);
        if (error == SSL_ERROR_WANT_READ) return false;
        if (!answer_.starts_with("HTTP/1.1 200 ") || !answer_.ends_with("\r\n\r\n" + body_)) fail("a wrong answer");
        if (resumes_ && SSL_session_reused(ssl_.get()) != 1) fail("a session was not resumed");
        ERR_clear_error();
        SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN);  // else OpenSSL takes the session for broken
        ssl_.reset();
        ::close(fd_);
        return true;
    }
    bool resumed() const { return resumes_; }

    /// OpenSSL has a ticket for the next connection.
    static int keep(SSL* ssl, SSL_SESSION* session) {
        static_cast<Client*>(SSL_get_app_data(ssl))->session_.reset(session);
        return 1;
    }

 private:
    bool must_wait() {
        const int error = SSL_get_error(ssl_.get(), 0);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail("a handshake failed");
        return false;
    }

    int epoll_;
    SSL_CTX* context_;
    std::uint16_t port_;
    std::string body_;
    int fd_ = -1;
    std::unique_ptr<SSL, Free> ssl_;
    std::unique_ptr<SSL_SESSION, Free> session_;
    bool resumes_ = false, sent_ = false;
    std::string answer_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) fail("usage: edgeproxy-bench-resume PORT REQUESTS AT_ONCE BODY_BYTES");
    const auto number = [&](int index) { return std::strtoul(argv[index], nullptr, 10); };
    const std::size_t wanted = number(2);
    std::signal(SIGPIPE, SIG_IGN);
    const std::unique_ptr<SSL_CTX, Free> context{SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), Client::keep);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < number(3); ++i) {
        clients.push_back(std::make_unique<Client>(epoll, context.get(), static_cast<std::uint16_t>(number(1)),
                                                   std::string(number(4), 'x')));
        clients.back()->begin();
    }
    const auto begun = std::chrono::steady_clock::now();
    std::size_t done = 0;
    while (done < wanted) {
        std::array<epoll_event, 64> events;
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), patience_ms);
        if (count == 0) fail("no answer");
        for (int i = 0; i < count && done < wanted; ++i) {
            auto& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (!client.go_on()) continue;
            done += client.resumed() ? 1 : 0;
            client.begin();
        }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
    std::printf("%zu %.3f\n", done, seconds.count());
    return 0;
}
