// SPDX-License-Identifier: Apache-2.0
// The proxy's side of the control channel without any HTTP server: says ready, probes workers, obeys a script of words.
//
//   fake_proxy JOURNAL WORD...    the channel is descriptor 3; each message that comes is a line of JOURNAL
//
//   at-once       a worker counts as ready as soon as it is told (it need not serve anything)
//   settled       a worker counts as ready when it has lived for 150 ms
//   busy          says that a worker served 1000 requests, as soon as it is ready
//   refuse        refuses the configuration
//   die-early     ends before it is ready
//   never-ready   takes the configuration and is not ready
//   cuts          says that three requests were cut when it has drained
//   never-drained does not answer DrainAll, and goes on
//   ill           says once that the first worker is unhealthy
//   hang          says once that the first worker hangs, when there is a file JOURNAL.hang
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <map>

#include "tls/io/ip.hpp"
#include "upstream/control/channel.hpp"

namespace {

using namespace edgeproxy;

class FakeProxy {
 public:
    FakeProxy(const std::string& journal, std::vector<std::string> words)
        : channel_(io::UniqueFd(control::proxy_channel)),
          journal_(journal, std::ios::app),
          words_(std::move(words)),
          hang_(has("hang") ? journal + ".hang" : "") {}

    int run() {
        note("proxy " + std::to_string(::getpid()));
        if (has("die-early")) return 9;
        for (;;) {
            pollfd wait{channel_.fd(), POLLIN, 0};
            ::poll(&wait, 1, 10);
            for (;;) {
                auto message = channel_.receive();
                if (!message) {
                    note("end");
                    return 0;
                }
                if (!*message) break;
                hear(**message);
            }
            for (auto& [id, up] : probing_) has("settled") ? settle(up) : probe(up);
            std::erase_if(probing_, [&](const auto& pair) { return pair.second.incarnation == 0; });
            look_for_hang();
        }
    }

 private:
    struct Probe {
        control::Incarnation incarnation = 0;
        config::Address address;
        io::UniqueFd fd;
        std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    };

    bool has(const std::string& word) const { return std::find(words_.begin(), words_.end(), word) != words_.end(); }
    void note(const std::string& line) { journal_ << line << std::endl; }
    void say(control::Message message) {
        if (!channel_.send(std::move(message))) note("send failed");
    }

    void hear(control::Message& message) {
        if (auto* m = std::get_if<control::ConfigMessage>(&message)) {
            configured(*m);
        } else if (auto* m = std::get_if<control::Listeners>(&message)) {
            for (auto& socket : m->sockets) {
                note("listener " + socket.name + " " + std::to_string(socket.address.port));
                listeners_.push_back(std::move(socket.fd));
            }
        } else if (auto* m = std::get_if<control::WorkerUp>(&message)) {
            worker_up(*m);
        } else if (auto* m = std::get_if<control::WorkerGone>(&message)) {
            note("gone " + std::to_string(m->incarnation) + " " + m->how);
            probing_.erase(m->incarnation);
        } else if (auto* m = std::get_if<control::WorkerDrain>(&message)) {
            note("drain " + std::to_string(m->incarnation) + " " + word(m->reason));
            say(control::WorkerDrained{m->incarnation, 0});
        } else if (auto* m = std::get_if<control::PoolStatus>(&message)) {
            note("pool " + m->pool + " " + word(m->state) + " " + m->reason);
            for (const std::string& line : m->last_lines) note("last " + line);
        } else if (auto* m = std::get_if<control::Ping>(&message)) {
            say(control::Pong{m->number});
        } else if (std::holds_alternative<control::DrainAll>(message)) {
            note("drain_all");
        } else if (std::holds_alternative<control::ListenersClosed>(message)) {
            note("listeners_closed");
            listeners_.clear();
            if (!has("never-drained")) say(control::Drained{has("cuts") ? 3u : 0u});
        } else if (auto* m = std::get_if<control::WorkerUsage>(&message)) {
            note("usage " + std::to_string(m->slot) + " rss " + (m->rss_bytes > 0 ? "some" : "none") + " crashes " +
                 std::to_string(m->restarts[0]) + " recycled " + std::to_string(m->restarts[2]));
        } else {
            note(name(message));
        }
    }

    void configured(control::ConfigMessage& m) {
        auto text = control::read_sealed(m.text, 4 * 1024 * 1024);
        std::ofstream(words_.empty() ? "/dev/null" : words_.front()) << (text ? *text : "");
        note("config " + std::to_string(m.generation));
        if (has("refuse")) return say(control::ConfigResult{m.generation, false, "no certificate fits"});
        say(control::ConfigResult{m.generation, true, ""});
        if (has("never-ready")) return;
        say(control::Ready{m.generation});
    }

    void worker_up(const control::WorkerUp& m) {
        note("up " + m.pool + " " + std::to_string(m.slot) + " " + std::to_string(m.incarnation) + " " +
             std::to_string(m.pid) + (m.held ? " held" : "") + (m.replayed ? " replayed" : ""));
        if (has("at-once")) return ready(m.incarnation, 0);
        probing_.emplace(m.incarnation, Probe{m.incarnation, m.address, {}, std::chrono::steady_clock::now()});
    }

    void ready(control::Incarnation incarnation, unsigned status) {
        note("ready " + std::to_string(incarnation) + " " + std::to_string(status));
        say(control::WorkerReady{incarnation, status});
        if (has("ill") && incarnation == 1) say(control::Unhealthy{incarnation, "timeout"});
        if (has("busy")) say(control::Stats{{{incarnation, 1000, 0}}});
    }

    void look_for_hang() {
        if (hang_.empty() || ::access(hang_.c_str(), F_OK) != 0) return;
        hang_.clear();
        say(control::Hung{1});
    }

    void settle(Probe& probe) {
        if (std::chrono::steady_clock::now() - probe.since < std::chrono::milliseconds(150)) return;
        ready(probe.incarnation, 0);
        probe.incarnation = 0;
    }

    // One GET, parked in the backlog or tried again until somebody listens; any status line counts.
    void probe(Probe& probe) {
        if (!probe.fd) connect(probe);
        if (!probe.fd) return;
        char answer[64] = {};
        const ssize_t size = ::recv(probe.fd.get(), answer, sizeof(answer) - 1, MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return;
        if (size < 12) return probe.fd.reset();
        ready(probe.incarnation, static_cast<unsigned>(std::atoi(answer + 9)));
        probe.incarnation = 0;
    }

    void connect(Probe& probe) {
        const io::SocketAddress to = io::SocketAddress::from_literal(probe.address);
        io::UniqueFd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(fd.get(), &to.any, to.size) != 0) return;
        const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0) probe.fd = std::move(fd);
    }

    control::Channel channel_;
    std::ofstream journal_;
    std::vector<std::string> words_;
    std::string hang_;  // the file that is waited for; empty when it was there
    std::vector<io::UniqueFd> listeners_;
    std::map<control::Incarnation, Probe> probing_;
};

}  // namespace

int main(int count, char** words) {
    if (count < 2) return 2;
    return FakeProxy(words[1], {words + 2, words + count}).run();
}
