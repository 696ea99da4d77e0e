// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "upstream/master/proxy_process.hpp"
#include "upstream/master/witnesses.hpp"

namespace edgeproxy::master {

/// The proxy process that serves, and after an upgrade the one beside it.
///
///   alone --take_over--> starting --Ready--> probing --workers answered--> handing --Committed--> leaving --> alone
///                            \----------- failed ---------> dropping --> alone
///
/// Until `leaving` the old one serves and is the active one; the new one has no listeners and answers nobody, so that
/// its failure costs nothing. From `leaving` on the new one serves and the old one ends what it has. If the old one
/// dies before, the new one takes its place as it is. On the loop's thread.
class Proxies {
 public:
    enum class Phase : std::uint8_t { alone, starting, probing, handing, leaving, dropping };
    static constexpr milliseconds step_timeout{30000};   ///< for the new one to be ready, and to take the listeners
    static constexpr milliseconds probe_timeout{10000};  ///< for the answers of the workers to the new one
    static constexpr milliseconds leave_margin{2000};    ///< what the old one may be late with its word

    /// What it needs of the house. `active` things are those of the proxy that serves.
    struct Outside {
        /// Tell a proxy that was started everything; without `doors` its Listeners are empty.
        std::function<void(ProxyProcess& to, bool doors)> greet;
        /// Listeners, keys and the configuration in force, for a proxy that has it already.
        std::function<void(ProxyProcess& to)> hand_over;
        std::function<void(control::Message)> heard;  ///< of the active one: what is no word on a worker
        std::function<void(const Word&)> word;        ///< on a worker, and it counts
        std::function<void(bool ready)> changed;      ///< the active one became ready, or was lost
        std::function<void(pid_t pid, bool lives)> lives;
        std::function<void(const std::string& how)> ended;           ///< the active one, for good
        std::function<std::vector<control::Incarnation>()> serving;  ///< workers that the new one must know
        std::function<void(bool waits)> await_answers;               ///< of the workers to the new one, see Crew
        std::function<milliseconds()> drain_limit;                   ///< for the old one
        std::function<void(const std::string& failure)> took_over;   ///< empty: the new one serves
        std::function<void()> alone;                                 ///< the other one has gone
    };

    Proxies(boost::asio::io_context& loop, config::Log& log, ProcessRequest request, Outside outside);

    /// The first one. False when the process cannot be started; the reason is logged.
    bool start() { return active_->start(); }
    /// Instead: goes on with the one that an earlier program had started.
    void adopt(const ProxyProcess::Memory& memory);
    /// Starts one of this program beside it, which takes over from it.
    void take_over();
    /// The program stops: a new one that does not serve yet is not wanted any more.
    void abandon(const std::string& why);

    Phase phase() const { return phase_; }
    /// There are two, and the new one does not serve yet.
    bool is_handing() const { return phase_ != Phase::alone && phase_ != Phase::leaving && phase_ != Phase::dropping; }

    // ---- the active one, as ProxyProcess
    void send(control::Message message) { active_->send(std::move(message)); }
    bool is_ready() const { return active_->is_ready(); }
    bool is_alive() const { return active_->is_alive(); }
    pid_t pid() const { return active_->pid(); }
    const std::string& refusal() const { return active_->refusal(); }
    ProxyProcess::Memory memory() const { return active_->memory(); }
    bool sent_all() const { return active_->sent_all(); }
    void keep_down() { active_->keep_down(); }
    void finish() { active_->finish(); }

    /// To both, if there are two. For messages without descriptors.
    void tell_all(control::Message message);
    /// Does something with both, if there are two.
    template <class Work>
    void each(Work work) {
        if (other_ && phase_ != Phase::dropping) work(*other_);
        work(*active_);
    }
    /// One that is on its way out; null = none.
    const ProxyProcess* leaving() const { return phase_ == Phase::leaving ? other_.get() : nullptr; }
    bool on_exit(pid_t pid, int status);
    /// It is started again, unless it was never ready.
    void kill_active() { active_->kill(); }
    /// Both.
    void kill();

 private:
    using Who = Witnesses::Who;
    std::unique_ptr<ProxyProcess> make(std::uint64_t epochs);
    ProxyProcess::Events events();
    bool is_active(const ProxyProcess& who) const { return &who == active_.get(); }

    void heard(ProxyProcess& who, control::Message message);
    void heard_of_other(const control::Message& message);
    bool word(ProxyProcess& who, const control::Message& message);
    void apply(const std::vector<Word>& words);
    void changed(ProxyProcess& who, bool ready);
    void ended(ProxyProcess& who, const std::string& how);
    void look();
    void hand_over();
    void serves();
    void promote();
    void fail(const std::string& why);
    void forget_other();
    void expect(milliseconds longest, const std::string& otherwise);

    boost::asio::io_context& loop_;
    config::Log& log_;
    const ProcessRequest request_;
    const Outside outside_;
    boost::asio::steady_timer timer_;
    std::unique_ptr<ProxyProcess> active_, other_;
    Witnesses witnesses_;
    Phase phase_ = Phase::alone;
    TimePoint probed_until_{};
};

}  // namespace edgeproxy::master
