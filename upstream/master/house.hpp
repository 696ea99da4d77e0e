// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "upstream/master/control_socket.hpp"
#include "upstream/master/fleet.hpp"
#include "upstream/master/guard.hpp"
#include "upstream/master/notify.hpp"
#include "upstream/master/output.hpp"
#include "upstream/master/proxies.hpp"
#include "upstream/master/reload.hpp"
#include "upstream/master/resources.hpp"
#include "upstream/master/sightings.hpp"
#include "upstream/master/state.hpp"
#include "upstream/master/status.hpp"
#include "upstream/master/supervisor.hpp"
#include "upstream/master/upgrade.hpp"
#include "upstream/master/watch.hpp"

namespace edgeproxy::master {

/// The master at work: one loop, everything that lives in it, and the order of the end.
///
///   running --TERM--> delaying --delay--> draining --Drained--> stopping --workers dead--> leaving --proxy dead-->
///   over
///
/// delaying: not ready, but accepting; draining: our copies of the listeners are closed, the proxy finishes; stopping:
/// TERM to the workers; leaving: the channel is closed, the proxy exits. All of it ends at `deadline_` with KILL and
/// exit code 8.
class House {
 public:
    House(const MasterOptions& options, std::shared_ptr<const config::Config> config, config::Log& log,
          Resources resources, rlimit core);

    /// Serves until the end; returns the exit code.
    int run();
    /// The same with what the program before us in this process hands over. Its descriptors are ours already, and
    /// signals are held.
    int resume(const State& state);

 private:
    enum class Phase : std::uint8_t { running, delaying, draining, stopping, leaving, over };

    // Making things.
    Workplace make_workplace(rlimit core);
    ProcessRequest proxy_request() const;
    Proxies::Outside proxies_outside();
    void make_fleet();
    int serve();

    // The proxy.
    void greet(ProxyProcess& to, bool doors);
    void hand_over(ProxyProcess& to);
    void send_config(ProxyProcess& to);
    void send_log_files(ProxyProcess& to);
    void heard(control::Message message);
    void config_result(const control::ConfigResult& result);
    void proxy_changed(bool ready);
    void proxy_ended(const std::string& how);

    // Signals and children.
    void wait_for_signals();
    void on_signal(int number);
    void reap();
    void child_ended(pid_t pid, int status);
    void scale_first(int by);
    void reopen_logs();

    // Reload.
    Reload::Outside reload_outside();
    Reload::Adopted adopt(std::shared_ptr<const config::Config> config, Resources resources);
    Reload::Adopted adopt_pools();
    void wake_all();
    void follow_logging();
    void follow_keys();
    void listener_drained(std::uint64_t id);
    void forget_path(const ListenSocket& socket);
    void close_leaving();
    void tell_master_status();
    control::MasterStatus master_status() const;

    // Upgrade.
    Upgrade::Outside upgrade_outside();
    std::string upgrade_forbidden() const;
    std::string half_done() const;
    State state() const;
    void work();
    bool become_next();
    void took_over(const std::string& failure);
    void alone_again();

    // Commands.
    void open_control();
    const char* phase_word() const;
    PoolView view_of_crew(const Crew& crew) const;
    PoolView view_of_external(const config::Pool& pool) const;
    std::int64_t resting_since(const std::string& pool, const std::string& endpoint) const;
    StatusView status() const;
    void asked(const control::Request& request, std::shared_ptr<Asker> asker);
    void asked_to_stop(bool now, Asker& asker);
    void asked_about_pool(const control::Request& request, const config::Pool& pool, std::shared_ptr<Asker> asker);
    void asked_to_restart(Crew& crew, const std::string& worker, std::shared_ptr<Asker> asker);
    void asked_to_rest(const config::Pool& pool, const std::string& endpoint, bool resting, Asker& asker);

    // The end.
    void begin_stop(const std::string& why);
    void close_listeners();
    void drain_overdue();
    void stop_workers();
    void look_at_crews();
    void tell_service_manager();
    void counted();
    void leave_if_empty();
    void force(const std::string& why);
    void give_up_later();
    void fail(int code, const std::string& why);
    void end_adopted();
    void after(milliseconds wait, void (House::*next)());

    // Files. Again after each change of the configuration.
    void start_watches();
    void files_changed(const std::string& pool, const std::vector<std::string>& files);

    // Certificates that change.
    void watch_keys(milliseconds wait);
    void look_at_keys();
    void keys_result(const control::KeysResult& result);
    void offer_keys_again();

    // Log.
    void write_log();
    void flush_log();
    void tick_usage();

    const MasterOptions& options_;
    std::shared_ptr<const config::Config> config_;
    config::Log& log_;
    Resources resources_;
    boost::asio::io_context loop_{1};
    Output output_;
    bool json_;
    std::mt19937 random_;
    control::Incarnation last_incarnation_ = 0;
    Workplace workplace_;
    Fleet fleet_;
    Guard guard_;
    Proxies proxy_;
    Notifier notifier_;
    std::vector<std::unique_ptr<Watch>> watches_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer phase_timer_, force_timer_, usage_timer_, flush_timer_, keys_timer_;
    std::optional<KeyWatch> key_watch_;                        // made anew by a reload
    std::map<control::KeyId, KeyWatch::Change> offered_keys_;  // to the proxy, until it has answered
    std::uint64_t keys_number_ = 0;                            // of the last KeysChanged
    std::map<std::pair<std::string, std::uint32_t>, control::WorkerUsage> usages_;  // by pool and slot, as told last
    std::set<std::string> late_pools_;                                              // came by a reload
    // Pool and endpoint that get no new requests, and since when (seconds since 1970).
    std::map<std::pair<std::string, std::string>, std::int64_t> resting_;
    Sightings sightings_;
    std::vector<ListenSocket> leaving_sockets_;  // until the proxy has closed its copies
    ControlSocket control_;
    Reload reload_;
    Upgrade upgrade_;
    std::int64_t started_at_;  // seconds since 1970
    Phase phase_ = Phase::running;
    TimePoint close_at_{}, drain_until_{}, deadline_{};
    int exit_code_ = ExitCode::done;
    std::uint64_t left_over_ = 0;
    bool crews_started_ = false, told_ready_ = false, told_manager_ = false, flushing_ = false, interrupted_ = false;
    bool told_busy_ = false;    // to the service manager: a reload or an upgrade is under way
    bool executing_ = false;    // out of the loop, to become another program
    bool drained_ = false;      // the active proxy, while stopping
    bool takes_leave_ = false;  // after a failure: it is still to drain
};

}  // namespace edgeproxy::master
