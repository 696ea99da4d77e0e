// SPDX-License-Identifier: Apache-2.0

// Load of the measurements for which there is no usual tool: requests over HTTP/1.1 at a given rate, whether or not the
// answers keep up.
//
//     edgeproxy-bench-paced PORT REQUESTS RATE CONNECTIONS BODY_BYTES
//
// Requests come at random (exponential) distances, RATE of them a second on average, the same for every run. Each takes
// a connection that is free, or waits for one; its latency counts from when it came, so that a proxy which stalls is
// charged for all that came meanwhile. Prints `REQUESTS SECONDS P50 P99 P99.9`, latencies in microseconds; exit 1 and
// one line if an answer was wrong.

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "loopback.hpp"

namespace {

using edgeproxy::bench::connect_loopback;
using edgeproxy::bench::fail;
using Clock = std::chrono::steady_clock;

constexpr std::string_view request = "GET /128 HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::chrono::seconds patience{30};

/// A kept connection; at most one request at a time.
class Connection {
 public:
    Connection(int epoll, std::uint16_t port) : fd_(connect_loopback(port)) {
        ::fcntl(fd_, F_SETFL, O_NONBLOCK);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        event.data.ptr = this;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd_, &event);
    }

    void ask(Clock::time_point came) {
        came_ = came;
        if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
            fail("a request was not taken");
    }

    /// Reads what there is. True: the answer is whole, and right.
    bool answered(std::string_view body) {
        std::array<char, 16384> buffer;
        ssize_t count = 0;
        while ((count = ::recv(fd_, buffer.data(), buffer.size(), 0)) > 0)
            answer_.append(buffer.data(), static_cast<std::size_t>(count));
        if (count == 0 || errno != EAGAIN) fail("a connection was closed");
        const auto end = answer_.find("\r\n\r\n");
        if (end == std::string::npos || answer_.size() < end + 4 + body.size()) return false;
        if (!answer_.starts_with("HTTP/1.1 200 ") || std::string_view(answer_).substr(end + 4) != body)
            fail("a wrong answer");
        answer_.clear();
        return true;
    }
    Clock::time_point came() const { return came_; }

 private:
    int fd_;
    Clock::time_point came_;
    std::string answer_;
};

timespec until(Clock::time_point then, Clock::time_point now) {
    const auto wait = std::max(std::chrono::nanoseconds(then - now), std::chrono::nanoseconds(0));
    return {wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) fail("usage: edgeproxy-bench-paced PORT REQUESTS RATE CONNECTIONS BODY_BYTES");
    const auto number = [&](int index) { return std::strtoul(argv[index], nullptr, 10); };
    const std::size_t wanted = number(2);
    const std::string body(number(5), 'x');
    if (wanted == 0 || number(3) == 0 || number(4) == 0) fail("no requests, no rate or no connections");
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::deque<Connection> connections;
    std::deque<Connection*> free;  // the one that has rested longest first, so that all are used
    for (std::size_t i = 0; i < number(4); ++i)
        free.push_back(&connections.emplace_back(epoll, static_cast<std::uint16_t>(number(1))));

    std::mt19937_64 random;  // the same requests for everybody
    std::exponential_distribution<double> distance(static_cast<double>(number(3)));
    const auto pause = [&] {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(distance(random)));
    };
    std::deque<Clock::time_point> waiting;
    std::vector<std::uint64_t> latencies;
    latencies.reserve(wanted);
    const auto begun = Clock::now();
    auto next = begun + pause();
    auto last_answer = begun;
    std::size_t came = 0;
    while (latencies.size() < wanted) {
        auto now = Clock::now();
        for (; came < wanted && next <= now; ++came, next += pause()) waiting.push_back(next);
        for (; !waiting.empty() && !free.empty(); waiting.pop_front(), free.pop_front())
            free.front()->ask(waiting.front());
        const auto wait = until(came < wanted ? next : now + patience, now);
        std::array<epoll_event, 64> events;
        const int count = ::epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()), &wait, nullptr);
        if (count < 0 && errno != EINTR) fail("epoll_pwait2");
        now = Clock::now();
        for (int i = 0; i < count; ++i) {
            auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (!connection.answered(body)) continue;
            latencies.push_back(static_cast<std::uint64_t>((now - connection.came()).count()) / 1000);
            free.push_back(&connection);
            last_answer = now;
        }
        if (now - last_answer > patience) fail("no answer");
    }
    const std::chrono::duration<double> seconds = Clock::now() - begun;
    std::sort(latencies.begin(), latencies.end());
    const auto percentile = [&](double share) {
        return latencies[std::min(latencies.size() - 1,
                                  static_cast<std::size_t>(share * static_cast<double>(latencies.size())))];
    };
    std::printf("%zu %.3f %lu %lu %lu\n", latencies.size(), seconds.count(), percentile(0.5), percentile(0.99),
                percentile(0.999));
    return 0;
}
