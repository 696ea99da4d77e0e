// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/log.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/process.hpp"
#include "upstream/master/worker.hpp"

namespace edgeproxy::master {

/// When a dead proxy is started again: at once, then 0.1, 0.2 ... 5 s; forgiven after a minute of service. Pure.
class ProxyBackoff {
 public:
    /// It ended after having been ready for `ready_for` (zero: never).
    milliseconds on_end(milliseconds ready_for);

 private:
    unsigned in_a_row_ = 0;
};

/// The proxy process and our end of its channel: starts it, greets it, pings it, restarts it. The listeners and the
/// workers do not notice.
class ProxyProcess {
 public:
    static constexpr milliseconds ping_interval{1000};
    static constexpr milliseconds hung_after{30000};  ///< without a pong (or a first Ready): killed and replaced
    static constexpr milliseconds end_grace{2000};    ///< from the end of the channel to KILL

    /// What the owner does when something happens. All are called on the loop's thread, and must not destroy `who`.
    struct Events {
        /// It runs: send everything it must know, with `send`.
        std::function<void(ProxyProcess& who)> greet;
        /// Every message but Ready and Pong.
        std::function<void(ProxyProcess& who, control::Message)> heard;
        std::function<void(ProxyProcess& who, bool ready)> changed;  ///< it became ready, or was lost
        std::function<void(pid_t pid, bool lives)> lives;            ///< a process was started, or has ended
        /// It ended and is not started again: never ready (`how` says why), or after `keep_down` or `finish`.
        std::function<void(ProxyProcess& who, std::string how)> ended;
    };
    /// A process that serves, as the next program in the master's process needs it.
    struct Memory {
        pid_t pid = -1;
        int channel = -1;  ///< our end
        std::uint64_t epoch = 0;
        TimePoint ready_since{};
        bool operator==(const Memory&) const = default;
    };

    /// `epochs`: so many proxy processes were there before.
    ProxyProcess(boost::asio::io_context& loop, config::Log& log, ProcessRequest request, Events events,
                 std::uint64_t epochs);

    /// False when the process cannot be started; the reason is logged.
    bool start();
    /// Instead of `start`: goes on with one that an earlier program had started, and that is ready.
    void adopt(const Memory& memory);
    /// Of one that is ready.
    Memory memory() const;
    /// Everything that was sent has left this process.
    bool sent_all() const { return !channel_.wants_write(); }
    /// Queues; a proxy that does not read is killed and replaced. Nothing when there is none.
    void send(control::Message message);
    bool is_ready() const { return ready_since_.has_value(); }
    bool is_alive() const { return process_.pid > 0; }
    pid_t pid() const { return process_.pid; }
    std::uint64_t epoch() const { return epoch_; }
    /// Why it refused the configuration; empty when it did not.
    const std::string& refusal() const { return refusal_; }

    /// The reaper's word. True if it was ours.
    bool on_exit(pid_t pid, int status);

    /// No more restarts from now on; a death then is an end.
    void keep_down() { keep_down_ = true; }
    /// From now on it is restarted whenever it dies, even if it has never been ready.
    void keep_up() {
        keep_down_ = false;
        ever_ready_ = true;
    }
    /// Closes the channel, which lets it exit; KILL after `end_grace`. `ended` follows.
    void finish();
    void kill();

 private:
    void attach();
    void watch();
    void read_all();
    void handle(control::Message message);
    void flush_when_writable();
    void ping();
    void lose(const std::string& why);
    void restart_later(milliseconds wait);

    boost::asio::io_context& loop_;
    config::Log& log_;
    ProcessRequest request_;
    Events events_;
    Process process_;
    control::Channel channel_;
    std::unique_ptr<boost::asio::posix::stream_descriptor> wait_;
    boost::asio::steady_timer ping_timer_, start_timer_;
    ProxyBackoff backoff_;
    std::uint64_t epoch_ = 0, ping_number_ = 0;
    TimePoint last_word_{};
    std::optional<TimePoint> ready_since_;
    bool ever_ready_ = false, keep_down_ = false, finishing_ = false, flushing_ = false;
    std::string refusal_;
};

}  // namespace edgeproxy::master
