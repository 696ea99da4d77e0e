// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <string>

#include "config/load.hpp"
#include "errors.hpp"
#include "proxy/http1_server.hpp"
#include "proxy/lane.hpp"
#include "upstream/pools.hpp"

namespace edgeproxy::proxy::test {

using namespace std::chrono_literals;

/// The whole way from a client to an endpoint, in one thread: socket pairs and a unix socket at its two ends, the loop,
/// both peers and the clock moved by hand. Time passes only where a test says so.
class Street {
 public:
    explicit Street(const std::string& route = "") : folder_(made_folder()) {
        plan_ = loaded(route);
        listen_at(folder_ + "/app");
        upstream::Pools::Outside outside;
        outside.post = [this](std::function<void()> work) { control_.push_back(std::move(work)); };
        outside.events.drained = [](auto, auto) {};
        outside.events.health_changed = [](auto, auto) {};
        pools_ = std::make_unique<upstream::Pools>(reactors_, clock, log_, std::move(outside));
        pools_->configure(plan_->pools);
        lane.cells = &cells;
        lane.snapshot = SnapshotRef(
            make_snapshot(plan_, {registry, nullptr, [this](const auto& name) { return pools_->find(name); },
                                  [](const auto&) { return nullptr; }}));
        auto [ours, theirs] = io::socket_pair();
        client_ = std::move(theirs);
        lane.reactor.spawn(serve(std::make_unique<Connection>(lane, lane.snapshot->listeners[0], std::move(ours),
                                                              io::Peer{}, std::uint16_t{80})));
        settle();
    }
    Street(const Street&) = delete;
    Street& operator=(const Street&) = delete;
    ~Street() {
        client_.reset();
        origin_.reset();
        settle();
        lane.reactor.cancel_all();
        settle();
        CHECK(lane.reactor.spawned() == 0);
        std::filesystem::remove_all(folder_);
    }

    const config::ListenerTimeouts& client_timeouts() const { return plan_->listeners[0].timeouts; }
    const config::PoolTimeouts& pool_timeouts() const { return plan_->pools[0].timeouts; }

    /// What the client writes now. False when the other side takes no more at the moment.
    bool client_sends(std::string_view text) { return put(client_, text); }
    /// The same, and nobody has looked yet.
    bool client_has_sent(std::string_view text) { return written(client_, text); }
    void client_ends() {
        ::shutdown(client_.get(), SHUT_WR);
        settle();
    }
    bool origin_sends(std::string_view text) { return put(origin_, text); }

    /// Lets time pass in steps, one of them to the very end.
    void pass(io::Duration time) {
        for (const io::Duration step = std::max<io::Duration>(time / 20, 1ms); time > 0ns; time -= step) {
            clock.advance(std::min(step, time));
            settle();
        }
    }
    /// A moment before `time` is over, and a moment after it.
    void nearly(io::Duration time) { pass(time - slack); }
    void rest() { pass(2 * slack); }

    std::string client_got, origin_got;
    bool client_saw_end = false, origin_saw_end = false;
    bool client_reads = true, origin_reads = true;

    bool has(std::string_view part) const { return client_got.find(part) != std::string::npos; }
    bool closed() const { return lane.open == 0; }
    std::uint64_t errors(std::string_view reason) const { return errors_of(cells, registry, reason); }

    io::Clock clock = io::Clock::manual();
    admin::LaneCells cells;
    admin::Registry registry;
    Lane lane{0, clock};

    /// Takes what has come to the client, and lets nothing else happen.
    void look() { get(client_, client_got, client_saw_end); }
    void settle() {
        for (int idle = 0; idle < 4;) {
            bool busy = lane.reactor.run_once(0ns);
            while (!control_.empty()) {
                const auto work = std::move(control_.front());
                control_.pop_front();
                work();
                busy = true;
            }
            busy |= take_origin();
            busy |= client_reads && get(client_, client_got, client_saw_end);
            busy |= origin_reads && get(origin_, origin_got, origin_saw_end);
            idle = busy ? 0 : idle + 1;
        }
    }

 private:
    static constexpr io::Duration slack = 600ms;  // the wheel may be late by one of its ticks

    static io::Task<void> serve(std::unique_ptr<Connection> connection) { co_await serve_http1(*connection); }

    static std::string made_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "ep-street-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        return name;
    }
    std::shared_ptr<const config::Config> loaded(const std::string& route) const {
        config::LoadOptions options;
        options.base_dir = folder_;
        options.read_env_files = false;
        const std::string text =
            "listeners: { web: { address: \"127.0.0.1:1\", limits: { body_rate: off, response_rate: off } } }\npools: "
            "{ app: { endpoints: [\"unix:" +
            folder_ + "/app\"] } }\nroutes: [{ path: /app, pool: app" + route + " }]\n";
        const config::LoadResult result = config::load_text(text, "stack.yaml", options);
        INFO(text);
        REQUIRE(result.config != nullptr);
        return result.config;
    }
    void listen_at(const std::string& path) {
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
    }
    bool take_origin() {
        const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return false;
        origin_.reset(fd);
        origin_saw_end = false;
        return true;
    }
    static bool written(const io::UniqueFd& to, std::string_view text) {
        return ::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
               static_cast<ssize_t>(text.size());
    }
    bool put(const io::UniqueFd& to, std::string_view text) {
        const bool all = written(to, text);
        settle();
        return all;
    }
    static bool get(const io::UniqueFd& from, std::string& into, bool& ended) {
        if (!from || ended) return false;
        char space[65536];
        const ssize_t size = ::recv(from.get(), space, sizeof space, MSG_DONTWAIT);
        if (size > 0) into.append(space, static_cast<std::size_t>(size));
        ended = size == 0 || (size < 0 && errno == ECONNRESET);
        return size > 0 || ended;
    }

    std::string folder_;
    std::shared_ptr<const config::Config> plan_;
    config::Log log_;
    std::vector<io::Reactor*> reactors_{&lane.reactor};
    std::deque<std::function<void()>> control_;
    std::unique_ptr<upstream::Pools> pools_;
    io::UniqueFd listener_, client_, origin_;
};

}  // namespace edgeproxy::proxy::test
