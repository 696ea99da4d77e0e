// SPDX-License-Identifier: Apache-2.0
// Another part of House: going on in another program.
#include <signal.h>

#include <cerrno>
#include <cstring>

#include <boost/asio/post.hpp>

#include "config/load.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/house.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {

// ---- before the exec

Upgrade::Outside House::upgrade_outside() {
    Upgrade::Outside out;
    out.program = options_.program;
    out.arguments = options_.arguments;
    out.environment = own_environment();
    out.forbidden = [this] { return upgrade_forbidden(); };
    out.half_done = [this] { return half_done(); };
    out.state = [this] {
        auto sealed = control::make_sealed("state", encode(state()));
        return sealed ? std::move(*sealed) : io::UniqueFd();
    };
    out.execute = [this] {
        executing_ = true;
        loop_.stop();
    };
    out.counted = [this] { counted(); };
    return out;
}

std::string House::upgrade_forbidden() const {
    if (phase_ != Phase::running) return "it is stopping";
    if (!crews_started_) return "it is still starting";
    if (config_->server.upgrade == config::Switch::off) return "server.upgrade is off";
    if (options_.program.empty()) return "nobody knows where the program is";
    bool lasting = false;
    const std::string what = fleet_.half_done(lasting);
    return lasting ? what : std::string();
}

std::string House::half_done() const {
    if (reload_.is_busy()) return "a reload is under way";
    if (proxy_.phase() != Proxies::Phase::alone) return "the proxy process of before still ends what it has";
    if (!proxy_.is_ready()) return "no proxy process is ready";
    if (!proxy_.sent_all()) return "the proxy process does not read";
    if (!leaving_sockets_.empty()) return "a listener is being closed";
    bool lasting = false;
    return fleet_.half_done(lasting);
}

State House::state() const {
    State out;
    out.config_text = config::to_yaml(*config_, {});
    out.started_at = started_at_;
    out.core_soft = workplace_.core.rlim_cur;
    out.core_hard = workplace_.core.rlim_max;
    out.last_incarnation = last_incarnation_;
    out.keys_number = keys_number_;
    out.told_ready = told_ready_;
    out.told_manager = told_manager_;
    out.unwritten = output_.waiting();
    remember_resources(resources_, out);
    out.control = control_.memory();
    out.reload = reload_.memory();
    out.upgrade = upgrade_.memory();
    out.proxy = proxy_.memory();
    out.guard_pid = guard_.pid();
    out.guard_pipe = guard_.pipe();
    out.crews = fleet_.memory();
    out.resting.assign(resting_.begin(), resting_.end());
    out.late_pools.assign(late_pools_.begin(), late_pools_.end());
    return out;
}

// The loop. It is left to become another program; where that is not to be, it goes on.
void House::work() {
    do {
        executing_ = false;
        loop_.run();
    } while (executing_ && become_next());
}

// Returns when we are still the same. False: the end came meanwhile.
bool House::become_next() {
    hold_signals();  // those that come from now on are for the next program
    loop_.restart();
    loop_.poll();  // those that came before are for us, and whatever else has happened
    bool goes_on = !loop_.stopped();
    if (goes_on && upgrade_.ready_to_execute()) {
        write_log();
        const State now = state();
        auto sealed = control::make_sealed("state", encode(now));
        const int error =
            sealed ? become(upgrade_.program(), upgrade_.arguments(), *sealed, now.descriptors()) : ENOMEM;
        upgrade_.not_executed(std::strerror(error));
    }
    allow_signals();
    return goes_on;
}

// ---- after it

int House::resume(const State& state) {
    started_at_ = state.started_at;
    last_incarnation_ = state.last_incarnation;
    keys_number_ = state.keys_number;
    told_ready_ = state.told_ready;
    told_manager_ = told_busy_ = state.told_manager;
    resting_.insert(state.resting.begin(), state.resting.end());
    late_pools_.insert(state.late_pools.begin(), state.late_pools.end());
    output_.write(state.unwritten);
    reload_.recall(state.reload);
    workplace_.generation = reload_.generation();
    guard_.adopt(state.guard_pid, io::UniqueFd(state.guard_pipe));
    control_.adopt(state.control);
    crews_started_ = true;
    proxy_.adopt(state.proxy);
    upgrade_.resume(state.upgrade, control_.adopt_client(state.upgrade.asker));
    fleet_.resume(state.crews);
    start_watches();
    if (!guard_.replace()) log_.error("guard_failed", "cannot start another guard process; keeping the old one");
    wait_for_signals();
    allow_signals();
    boost::asio::post(loop_, [this] { reap(); });  // who died meanwhile
    proxy_.take_over();
    write_log();
    return serve();
}

void House::took_over(const std::string& failure) {
    upgrade_.took_over(failure);
    tell_master_status();
    reload_.proxy_changed(proxy_.is_ready());
    offer_keys_again();
}

void House::alone_again() {
    fleet_.proxy_changed(proxy_.is_ready());  // clocks that waited for the old one run
    if (phase_ == Phase::draining && drained_) stop_workers();
}

}  // namespace edgeproxy::master
