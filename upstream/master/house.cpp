// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/house.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "config/load.hpp"
#include "config/text.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/banner.hpp"
#include "upstream/master/time.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {
House::House(const MasterOptions& options, std::shared_ptr<const config::Config> config, config::Log& log,
             Resources resources, rlimit core)
    : options_(options),
      config_(std::move(config)),
      log_(log),
      resources_(std::move(resources)),
      output_(open_log(config_->logging.output)),
      json_(output_.wants_json(config_->logging.format)),
      random_(std::random_device{}()),
      workplace_(make_workplace(core)),
      fleet_(workplace_),
      proxy_(loop_, log_, proxy_request(), proxies_outside()),
      notifier_(loop_, ServiceManager::of(own_environment(), ::getpid())),
      signals_(loop_, SIGTERM, SIGINT, SIGQUIT),
      phase_timer_(loop_),
      force_timer_(loop_),
      usage_timer_(loop_),
      flush_timer_(loop_),
      keys_timer_(loop_),
      key_watch_(std::in_place, *config_, resources_.keys),
      control_(
          loop_, log_,
          [this](const control::Request& request, std::shared_ptr<Asker> asker) { asked(request, std::move(asker)); },
          [this] { tell_master_status(); }),
      reload_(loop_, log_, reload_outside()),
      upgrade_(loop_, log_, upgrade_outside(), {}),
      started_at_(unix_now()) {
    for (const int number : {SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) signals_.add(number);
    log_.on_records([this] { boost::asio::post(loop_, [this] { write_log(); }); });
    make_fleet();
}

// ---- making things
// ------------------------------------------------------------------------------------------------------

Workplace House::make_workplace(rlimit core) {
    Workplace out{loop_, log_};
    out.environment = own_environment();
    out.proxy = resources_.proxy;
    out.core = core;
    if (resources_.runtime_dir) out.run_dir = resources_.runtime_dir->path();
    out.restore_run_dir = [this](std::string& error) {
        if (!resources_.runtime_dir || resources_.runtime_dir->is_there()) return true;
        if (!resources_.runtime_dir->restore(error)) return false;
        log_.warn("runtime_dir_restored", resources_.runtime_dir->path() + " was removed by somebody; made again");
        return true;
    };
    out.jitter = [this] { return std::uniform_real_distribution<double>(-1, 1)(random_); };
    out.next_incarnation = [this] { return ++last_incarnation_; };
    out.tell_proxy = [this](control::Message message) {
        if (const auto* m = std::get_if<control::WorkerUsage>(&message)) usages_[{m->pool, m->slot}] = *m;
        proxy_.tell_all(std::move(message));
    };
    out.print = [this](const LineOrigin& origin, std::string_view line) {
        output_.write(format_line(origin, line, json_, std::chrono::system_clock::now()));
        flush_log();
    };
    out.guard = [this](pid_t group, bool lives) { lives ? guard_.add(group) : guard_.remove(group); };
    // Later, since a crew tells it in the middle of its own work.
    out.changed = [this] { boost::asio::post(loop_, [this] { look_at_crews(); }); };
    out.counted = [this] { boost::asio::post(loop_, [this] { tell_master_status(); }); };
    return out;
}

ProcessRequest House::proxy_request() const {
    ProcessRequest request;
    request.program = options_.proxy_program;
    request.argv = options_.proxy_arguments;
    request.environment = proxy_environment(own_environment());
    request.identity = resources_.proxy;
    request.core =
        rlimit{0, 0};  // it holds keys; the master keeps the hard limit, so that workers can have theirs back
    return request;
}

Proxies::Outside House::proxies_outside() {
    Proxies::Outside out;
    out.greet = [this](ProxyProcess& to, bool doors) { greet(to, doors); };
    out.hand_over = [this](ProxyProcess& to) { hand_over(to); };
    out.heard = [this](control::Message message) { heard(std::move(message)); };
    out.word = [this](const Word& word) { fleet_.hear(word.incarnation, word.event, word.why); };
    out.changed = [this](bool ready) { proxy_changed(ready); };
    out.lives = [this](pid_t pid, bool lives) { guard_.proxy(pid, lives); };
    out.ended = [this](const std::string& how) { proxy_ended(how); };
    out.serving = [this] { return fleet_.serving(); };
    out.await_answers = [this](bool waits) { fleet_.await_answers(waits); };
    out.drain_limit = [this] { return milliseconds(config_->server.shutdown.grace_period); };
    out.took_over = [this](const std::string& failure) { took_over(failure); };
    out.alone = [this] { alone_again(); };
    return out;
}

void House::make_fleet() {
    for (const config::Pool& pool : config_->pools) {
        if (!pool.managed) continue;
        fleet_.add({std::shared_ptr<const config::Pool>(config_, &pool), resources_.workers[pool.name]});
    }
}

int House::run() {
    if (!guard_.start()) log_.error("guard_failed", "cannot start the guard process; going on without it");
    if (options_.banner && !json_) output_.write(banner(*config_, options_.config_name, resources_.sockets));
    write_log();  // what was said before there was a loop
    wait_for_signals();
    open_control();
    if (!proxy_.start()) {
        write_log();
        return ExitCode::failed;
    }
    return serve();
}

// The loop, and what comes behind it.
int House::serve() {
    tick_usage();
    watch_keys(key_watch_->interval());
    work();
    end_adopted();
    control_.close();
    guard_.stop();
    unlink_paths(resources_.sockets);
    if (left_over_ > 0 && exit_code_ == ExitCode::done) exit_code_ = ExitCode::forced;
    log_.info("stopped", exit_code_ == ExitCode::done ? "stopped" : fmt::format("ended with exit code {}", exit_code_));
    write_log();
    output_.finish();
    log_.on_records({});
    return exit_code_;
}

// ---- the proxy
// ----------------------------------------------------------------------------------------------------------

// A proxy without doors is told of everything, but accepts nobody yet.
void House::greet(ProxyProcess& to, bool doors) {
    if (doors) offer_keys_again();
    to.send(control::Hello{control::version, to.epoch(), ::getpid(), started_at_});
    to.send(master_status());
    send_log_files(to);
    if (doors) {
        hand_over(to);
    } else {
        to.send(control::Listeners{});
        for (control::KeyMaterial& pair : resources_.key_material()) to.send(std::move(pair));
        send_config(to);
    }
    if (crews_started_) fleet_.introduce([&to](control::Message message) { to.send(std::move(message)); });
    if (crews_started_ && doors) fleet_.await_answers(proxy_.leaving() != nullptr);
    for (const auto& [name, since] : resting_) to.send(control::EndpointRest{name.first, name.second, true});
    if (phase_ == Phase::delaying) {
        const auto left = std::chrono::duration_cast<milliseconds>(close_at_ - now());
        const auto drain = std::chrono::duration_cast<milliseconds>(drain_until_ - close_at_);
        to.send(control::DrainAll{left, drain});
    }
}

void House::hand_over(ProxyProcess& to) {
    for (control::Listeners& chunk : resources_.listeners()) to.send(std::move(chunk));
    for (control::KeyMaterial& pair : resources_.key_material()) to.send(std::move(pair));
    send_config(to);
}

void House::send_config(ProxyProcess& to) {
    auto text = control::make_sealed("configuration", config::to_yaml(*config_, {.for_proxy = true}));
    if (!text) return fail(ExitCode::failed, "cannot hand the configuration to the proxy: " + text.error().message());
    to.send(control::ConfigMessage{reload_.generation(), std::move(*text)});
}

void House::send_log_files(ProxyProcess& to) {
    control::LogFiles files;
    const config::Logging& logging = config_->logging;
    if (is_log_file(logging.output)) files.log = open_log(logging.output);
    if (logging.access.enabled && is_log_file(logging.access.output)) files.access = open_log(logging.access.output);
    to.send(std::move(files));
}

void House::heard(control::Message message) {
    if (const auto* m = std::get_if<control::ConfigResult>(&message)) return config_result(*m);
    if (const auto* m = std::get_if<control::KeysResult>(&message)) return keys_result(*m);
    if (const auto* m = std::get_if<control::StartRejected>(&message)) {
        return fleet_.hear_rejected(m->incarnation, m->why);
    }
    if (const auto* m = std::get_if<control::Stats>(&message)) return fleet_.hear_stats(*m);
    if (auto* m = std::get_if<control::EndpointsSeen>(&message)) return sightings_.hear(std::move(*m), unix_now());
    if (const auto* m = std::get_if<control::Committed>(&message)) return reload_.heard(*m);
    if (const auto* m = std::get_if<control::ListenerDrained>(&message)) return listener_drained(m->id);
    if (const auto* m = std::get_if<control::Drained>(&message)) {
        if (m->left_over > 0) {
            log_.warn("requests_cut", fmt::format("{} requests were cut, since the drain took too long", m->left_over));
        }
        left_over_ += m->left_over;
        drained_ = true;
        if (proxy_.leaving() == nullptr) stop_workers();  // else when that one has gone as well
        return leave_if_empty();
    }
    log_.warn("control_message_unexpected",
              fmt::format("the proxy sent {}, which is not its to send", control::name(message)));
}

void House::config_result(const control::ConfigResult& result) {
    if (reload_.heard(result)) return;
    if (!result.ok) {
        log_.error("config_refused", "the proxy refuses the configuration: " + result.error);
        return proxy_.kill_active();  // at the first start that ends us; later it is tried again
    }
    if (crews_started_ || phase_ != Phase::running) return;
    crews_started_ = true;
    fleet_.start(proxy_.is_ready());
    start_watches();
    look_at_crews();
}

void House::proxy_changed(bool ready) {
    fleet_.proxy_changed(ready);
    if (ready && proxy_.leaving() != nullptr) fleet_.await_answers(true);  // again beside the old one
    if (!ready) {
        close_leaving();
        sightings_.forget();
    }
    reload_.proxy_changed(ready);
    look_at_crews();
}

void House::proxy_ended(const std::string& how) {
    switch (phase_) {
        case Phase::running:  // only at the first start
        case Phase::delaying:
            if (!proxy_.refusal().empty()) return fail(ExitCode::bad_config, proxy_.refusal());
            return fail(ExitCode::failed, "the proxy process ended before it was ready: " + how);
        case Phase::draining:
            log_.warn("proxy_exit", "the proxy process ended before it had drained: " + how);
            ++left_over_;
            return stop_workers();
        case Phase::stopping:
            return leave_if_empty();
        case Phase::leaving:
            phase_ = Phase::over;
            return loop_.stop();
        case Phase::over:
            return;
    }
}

// ---- signals and children
// -----------------------------------------------------------------------------------------------

void House::wait_for_signals() {
    signals_.async_wait([this](boost::system::error_code error, int number) {
        if (error) return;
        on_signal(number);
        wait_for_signals();
    });
}

void House::on_signal(int number) {
    switch (number) {
        case SIGCHLD:
            return reap();
        case SIGUSR1:
            return reopen_logs();
        case SIGTERM:
        case SIGQUIT:
            return begin_stop(signal_name(number));
        case SIGINT:
            if (interrupted_) return force("interrupted twice");
            interrupted_ = true;
            return begin_stop(signal_name(number));
        case SIGHUP:
            if (!options_.load) return fleet_.roll_all(control::RestartReason::reload);
            return reload_.ask(true, false, nullptr, "SIGHUP");
        case SIGTTIN:
        case SIGTTOU:
            return scale_first(number == SIGTTIN ? 1 : -1);
        case SIGUSR2:
            return upgrade_.ask(nullptr, "SIGUSR2");
        default:
            return;
    }
}

// One worker more or less in the first managed pool.
void House::scale_first(int by) {
    if (fleet_.crews().empty()) return log_.warn("no_managed_pool", "there is no pool with workers to change");
    Crew& crew = *fleet_.crews().front();
    if (by < 0 && crew.wanted() <= 1) return log_.warn("scale_refused", "the last worker stays");
    crew.pin(by < 0 ? crew.wanted() - 1 : crew.wanted() + 1);
}

void House::reopen_logs() {
    if (is_log_file(config_->logging.output)) {
        if (io::UniqueFd file = open_log(config_->logging.output)) {
            output_.reopen(std::move(file));
        } else {
            log_.error("log_reopen_failed",
                       "cannot reopen " + config_->logging.output + "; going on with the old file");
        }
    }
    proxy_.each([this](ProxyProcess& one) { send_log_files(one); });
    log_.info("logs_reopened", "log files reopened");
}

void House::after(milliseconds wait, void (House::*next)()) {
    phase_timer_.expires_after(wait);
    phase_timer_.async_wait([this, next](boost::system::error_code error) {
        if (!error) (this->*next)();
    });
}

// ---- log
// ----------------------------------------------------------------------------------------------------------------

void House::write_log() {
    log_.drain([this](config::LogRecord&& record) { output_.write(options_.format(record, json_)); });
    flush_log();
}

// What did not go out is tried again, without anybody waiting for it.
void House::flush_log() {
    constexpr milliseconds pause{20};
    if (flushing_) return;
    const bool all = output_.flush();
    if (const std::uint64_t lost = output_.take_lost(); lost > 0) {
        log_.warn("log_lines_lost",
                  fmt::format("{} of this log could not be written and {} lost", config::counted(lost, "line"),
                              lost == 1 ? "is" : "are"),
                  {{"lines", lost}});
    }
    if (all) return;
    flushing_ = true;
    flush_timer_.expires_after(pause);
    flush_timer_.async_wait([this](boost::system::error_code error) {
        flushing_ = false;
        if (!error) flush_log();
    });
}

void House::tick_usage() {
    usage_timer_.expires_after(Crew::usage_interval);
    usage_timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        fleet_.report_usage();
        tick_usage();
    });
}

}  // namespace edgeproxy::master
