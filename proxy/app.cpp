// SPDX-License-Identifier: Apache-2.0
#include "proxy/app.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <map>
#include <optional>

#include "config/load.hpp"
#include "proxy/endpoint_tls.hpp"
#include "proxy/http/websocket.hpp"
#include "proxy/listener_keys.hpp"
#include "proxy/mailbox.hpp"
#include "proxy/probe.hpp"
#include "proxy/read_watch.hpp"
#include "proxy/reports.hpp"
#include "tls/openssl_heap.hpp"
#include "upstream/name_resolver.hpp"

namespace edgeproxy::proxy {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t largest_config = 8 * 1024 * 1024;
constexpr milliseconds tick_interval{250};
/// Before the end of a drain, for the close frames of tunnels and their answers.
constexpr milliseconds tunnel_goodbye{3'000};
/// Where another proxy process has taken over, an idle client may send one more request for so long.
constexpr milliseconds idle_patience{1'000};
/// When the master died: so long may what is in flight take.
constexpr milliseconds orphan_grace{10'000};

std::string short_hash(const std::string& text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), digest.data(), &size) != 1) return "unknown";
    return fmt::format("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
}

/// The proxy process: owns everything, on the control thread; the lanes have theirs.
class App {
 public:
    explicit App(control::Channel channel) : mailbox_(io_, std::move(channel)) {}
    /// `openssl_heap`: OpenSSL takes its memory where we want it.
    int run(bool openssl_heap);

 private:
    void tell(control::Message message) { mailbox_.tell(std::move(message)); }
    void channel_ended();

    void on(control::Hello& hello) {
        master_pid_ = hello.master_pid;
        run_.started_at = hello.started_at;
    }
    void on(control::LogFiles& files);
    void on(control::Listeners& listeners);
    void on(control::KeyMaterial& material) { keys_.take(material); }
    void on(control::KeysChanged& changed);
    void on(control::ConfigMessage& message);
    void on(control::Commit& commit);
    void on(control::Forget& forget);
    void on(control::MasterStatus& status) { run_.master = status; }
    void on(control::EndpointRest& rest);
    void on(control::WorkerUp& up);
    void on(control::WorkerDrain& drain);
    void on(control::WorkerGone& gone);
    void on(control::PoolStatus& status);
    void on(control::WorkerUsage& usage) { run_.usages[{usage.pool, usage.slot}] = usage; }
    void on(control::DrainAll& drain);
    void on(control::ListenersClosed&);
    void on(control::Ping& ping) { tell(control::Pong{ping.number}); }
    template <class Other>
    void on(Other&) {}  // the rest is what we say, not what we hear

    /// A configuration that only has to be taken over: everything that can fail has been done.
    struct Next {
        std::uint64_t generation = 0;
        std::shared_ptr<const config::Config> config;
        std::string hash;
        upstream::Pools::Tls endpoint_tls;
        std::shared_ptr<const TlsSets> identities;
        std::vector<control::ListenerSocket> sockets;
    };
    /// A socket that is open, by its id; the lanes own it.
    using OpenDoors = std::map<std::uint64_t, std::weak_ptr<const io::UniqueFd>>;

    void build(std::shared_ptr<const config::Config> config);
    std::shared_ptr<const Snapshot> snapshot_of(const std::shared_ptr<const config::Config>& config);
    admin::AccessLog* access_log() const;
    void committed(std::uint64_t generation, const std::vector<std::uint64_t>& closed);
    std::vector<Door> doors_for(const config::Config& config, std::vector<control::ListenerSocket>& sockets);
    void swap_identities(std::shared_ptr<const TlsSets> identities);
    void tick();
    void resolve_names();
    void worker_ready(control::Incarnation incarnation, unsigned status);
    void begin_drain(milliseconds timeout);
    void end_drain(milliseconds timeout);
    void check_drained();
    void finish();

    asio::io_context io_{1};
    Mailbox mailbox_;
    std::int32_t master_pid_ = 0;

    std::optional<admin::LogDescriptors> log_files_;
    std::vector<control::ListenerSocket> sockets_;
    ListenerKeys keys_;
    EndpointTls endpoint_tls_;

    Running run_;
    std::optional<Next> next_;
    OpenDoors doors_;
    std::unique_ptr<Prober> prober_;
    ReadWatch read_watch_{io_};
    Reports reports_{run_};
    upstream::NameResolver resolver_{
        [this](std::function<void()> work) { asio::post(io_, std::move(work)); },
        [this](const std::string& host, const upstream::Resolved& result) { run_.pools->resolved(host, result); }};
    asio::steady_timer ticker_{io_};
    asio::steady_timer drain_deadline_{io_};
    unsigned ticks_ = 0;
    bool drained_ = false, orphaned_ = false;
    bool succeeded_ = false;  // another proxy process has taken our place
    int exit_code_ = 0;
};

int App::run(bool openssl_heap) {
    ::signal(SIGPIPE, SIG_IGN);
    if (!openssl_heap)
        run_.log.warn("openssl_heap",
                      "OpenSSL was in use before its memory could be chosen; TLS connections cost more of it");
    // The master decides when we stop; a terminal's Ctrl-C reaches the whole group.
    for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
    mailbox_.start({[this](control::Message& message) { std::visit([this](auto& one) { on(one); }, message); },
                    [this] { channel_ended(); }});
    io_.run();
    return exit_code_;
}

/// The end of the channel: after a drain it is the master's goodbye, without one the master died.
void App::channel_ended() {
    if (drained_ || !run_.serving) return finish();
    orphaned_ = true;
    run_.log.error("master_gone", "the master process is gone; finishing what is in flight");
    begin_drain(orphan_grace);
}

void App::on(control::LogFiles& files) {
    admin::LogDescriptors descriptors{std::move(files.log), std::move(files.access)};
    if (run_.log_writer) {
        run_.log_writer->configure(run_.config->logging, std::move(descriptors));
        run_.log_thread->wake();
    } else {
        log_files_ = std::move(descriptors);
    }
}

void App::on(control::Listeners& listeners) {
    for (control::ListenerSocket& socket : listeners.sockets) sockets_.push_back(std::move(socket));
}

/// Certificates that changed: what can be served is served from now on, the rest stays as it is.
void App::on(control::KeysChanged& changed) {
    ListenerKeys::Replaced replaced = keys_.replace(run_.identities, changed);
    if (replaced.sets) swap_identities(std::move(replaced.sets));
    run_.keys_refused += replaced.refused + changed.unreadable;
    run_.keys_replaced += replaced.replaced;
    tell(std::move(replaced.result));
}

/// New handshakes use these; who has shaken hands keeps what it has.
void App::swap_identities(std::shared_ptr<const TlsSets> identities) {
    run_.identities = std::move(identities);
    run_.snapshot = with_identities(*run_.snapshot, run_.identities);
    run_.lanes->adopt(run_.snapshot);
}

void App::on(control::ConfigMessage& message) {
    const auto refuse = [&](std::string why) {
        sockets_.clear();
        keys_.forget();
        tell(control::ConfigResult{message.generation, false, std::move(why)});
    };
    const auto text = control::read_sealed(message.text, largest_config);
    if (!text) return refuse("the configuration did not arrive");
    config::LoadOptions options;
    options.internal = true;
    config::LoadResult loaded = config::load_text(*text, "configuration", options);
    if (!loaded.config) {
        std::string why = "the proxy cannot read the configuration";
        if (!loaded.problems.empty()) why = config::render(loaded.problems.front(), loaded.source);
        return refuse(std::move(why));
    }
    const std::string hash = short_hash(*text);
    try {
        if (run_.serving) {
            auto endpoint_tls = endpoint_tls_.load(*loaded.config, keys_.pems(), run_.log);
            next_ = Next{message.generation,
                         loaded.config,
                         hash,
                         std::move(endpoint_tls),
                         keys_.load(*loaded.config, *run_.tickets),
                         std::exchange(sockets_, {})};
            return tell(control::ConfigResult{message.generation, true, {}});
        }
        run_.config_hash = hash;
        build(std::move(loaded.config));
    } catch (const std::exception& problem) {
        return refuse(problem.what());
    }
    tell(control::ConfigResult{message.generation, true, {}});
    tell(control::Ready{message.generation});
}

std::vector<Door> App::doors_for(const config::Config& config, std::vector<control::ListenerSocket>& sockets) {
    std::vector<Door> doors;
    OpenDoors open;
    for (control::ListenerSocket& socket : sockets) {
        if (socket.name == control::metrics_listener) continue;
        for (std::size_t i = 0; i < config.listeners.size(); ++i) {
            if (config.listeners[i].name != socket.name) continue;
            std::shared_ptr<const io::UniqueFd> owned = doors_[socket.id].lock();
            if (!owned) owned = std::make_shared<const io::UniqueFd>(std::move(socket.fd));
            open[socket.id] = owned;
            doors.push_back({i, socket.address.port, std::move(owned), socket.id});
            break;
        }
    }
    doors_ = std::move(open);
    return doors;
}

std::shared_ptr<const Snapshot> App::snapshot_of(const std::shared_ptr<const config::Config>& config) {
    for (const config::Pool& pool : config->pools) run_.desks.try_emplace(pool.name);
    const SnapshotParts parts{run_.registry, run_.identities,
                              [this](const std::string& name) { return run_.pools->find(name); },
                              [this](const std::string& name) { return &run_.desks.at(name).notes; }};
    return make_snapshot(config, parts);
}

admin::AccessLog* App::access_log() const {
    return run_.config->logging.access.enabled ? run_.access_log.get() : nullptr;
}

/// Takes the prepared configuration over: every reactor by itself, in one turn of its loop.
void App::on(control::Commit& commit) {
    if (!next_ || next_->generation != commit.generation) return;
    Next next = std::move(*next_);
    next_.reset();
    run_.config = next.config;
    run_.config_hash = next.hash;
    run_.identities = next.identities;
    run_.log.set_level(next.config->logging.level);
    run_.pools->configure(next.config->pools, next.endpoint_tls);
    for (const config::Pool& pool : next.config->pools) {
        if (run_.desks.find(pool.name) == run_.desks.end()) run_.desks[pool.name].late = true;
    }
    run_.snapshot = snapshot_of(next.config);
    std::vector<std::uint64_t> closed;
    for (const auto& [id, socket] : doors_) closed.push_back(id);
    const std::vector<Door> doors = doors_for(*next.config, next.sockets);
    reports_.serve(io_, next.sockets);
    std::erase_if(closed, [this](std::uint64_t id) { return doors_.count(id) != 0; });
    run_.overload->configure(*run_.config);
    reports_.follow();
    run_.lanes->adopt(run_.snapshot, doors, access_log(), [this, generation = next.generation, closed] {
        asio::post(io_, [this, generation, closed] { committed(generation, closed); });
    });
}

void App::committed(std::uint64_t generation, const std::vector<std::uint64_t>& closed) {
    run_.pools->close_others(run_.config->pools);
    std::erase_if(run_.usages, [this](const auto& one) { return run_.config->find_pool(one.first.first) == nullptr; });
    tell(control::Committed{generation});
    for (const std::uint64_t id : closed) tell(control::ListenerDrained{id});
}

void App::on(control::Forget& forget) {
    if (next_ && next_->generation == forget.generation) next_.reset();
}

void App::build(std::shared_ptr<const config::Config> config) {
    run_.config = config;
    run_.log.set_level(config->logging.level);
    const unsigned threads = std::max(1u, config->server.threads);
    run_.access_log = std::make_unique<admin::AccessLog>(threads);  // a reload may switch it on
    run_.log_writer = std::make_unique<admin::LogWriter>(run_.log, run_.access_log.get(), config->logging,
                                                         log_files_ ? std::move(*log_files_) : admin::LogDescriptors{});
    run_.log_thread = std::make_unique<admin::LogThread>(run_.log, run_.access_log.get(), *run_.log_writer);
    run_.tickets = std::make_unique<tls::TicketKeys>(run_.clock.now());
    const upstream::Pools::Tls endpoint_tls = endpoint_tls_.load(*config, keys_.pems(), run_.log);
    run_.identities = keys_.load(*config, *run_.tickets);

    run_.lanes = std::make_unique<Lanes>(threads, run_.clock, run_.log, [this](std::shared_ptr<const Snapshot> last) {
        asio::post(io_, [last = std::move(last)] {});  // it dies there
    });
    run_.overload = std::make_unique<Overload>(*run_.lanes, run_.log);
    upstream::Pools::Outside outside;
    outside.post = [this](std::function<void()> work) { asio::post(io_, std::move(work)); };
    outside.events.drained = [this](control::Incarnation incarnation, std::uint64_t left_over) {
        tell(control::WorkerDrained{incarnation, left_over});
    };
    outside.events.health_changed = [this](control::Incarnation incarnation, bool healthy) {
        if (healthy) return tell(control::Healthy{incarnation});
        tell(control::Unhealthy{incarnation, "the health probe fails"});
    };
    outside.events.suspect = [this](const upstream::EndpointIdentity& who) {
        tell(control::Suspect{who.incarnation});
        read_watch_.await(who, run_.pools->roster(who.pool)->config().health.path,
                          [this, who] { run_.pools->worker_reads(who.incarnation); });
    };
    outside.events.resumed = [this](control::Incarnation incarnation) { tell(control::Resumed{incarnation}); };
    outside.events.hung = [this](control::Incarnation incarnation) { tell(control::Hung{incarnation}); };
    const std::vector<io::Reactor*> reactors = run_.lanes->reactors();
    run_.pools = std::make_unique<upstream::Pools>(reactors, run_.clock, run_.log, std::move(outside));
    run_.pools->configure(config->pools, endpoint_tls);
    Prober::Reports probed;
    probed.ready = [this](control::Incarnation incarnation, unsigned status) { worker_ready(incarnation, status); };
    probed.rejected = [this](control::Incarnation incarnation, std::string why) {
        tell(control::StartRejected{incarnation, std::move(why)});
    };
    prober_ = std::make_unique<Prober>(io_, std::move(probed));

    run_.snapshot = snapshot_of(config);
    const std::vector<Door> doors = doors_for(*config, sockets_);
    reports_.serve(io_, sockets_);
    sockets_.clear();
    run_.overload->configure(*config);
    run_.lanes->start(run_.snapshot, doors, access_log());
    run_.serving = true;
    tick();
}

void App::worker_ready(control::Incarnation incarnation, unsigned status) {
    run_.pools->worker_ready(incarnation);
    for (auto& [name, desk] : run_.desks) {
        const auto started = desk.starting.extract(incarnation);
        if (!started) continue;
        desk.starts.observe(run_.clock.now() - started.mapped());
        desk.late = false;
    }
    tell(control::WorkerReady{incarnation, status});
}

void App::on(control::WorkerUp& up) {
    if (!run_.serving) return;
    const config::Pool* pool = run_.config->find_pool(up.pool);
    if (pool == nullptr) return;
    run_.pools->worker_up(up);
    if (!up.replayed) run_.desks.at(up.pool).starting[up.incarnation] = run_.clock.now();
    prober_->await_ready(up, *pool);
}

void App::on(control::WorkerDrain& drain) {
    if (run_.serving) run_.pools->worker_drain(drain);
}

void App::on(control::WorkerGone& gone) {
    if (!run_.serving) return;
    prober_->forget(gone.incarnation);
    read_watch_.forget(gone.incarnation);
    run_.pools->worker_gone(gone);
    for (auto& [name, desk] : run_.desks) desk.starting.erase(gone.incarnation);
}

void App::on(control::EndpointRest& rest) {
    if (!run_.serving) return;
    if (upstream::Roster* roster = run_.pools->roster(rest.pool)) roster->rest(rest.endpoint, rest.resting);
}

void App::on(control::PoolStatus& status) {
    if (!run_.serving) return;
    const auto desk = run_.desks.find(status.pool);
    if (desk == run_.desks.end()) return;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(status.retry_after).count();
    desk->second.notes.set(
        {status.reason, status.last_lines, static_cast<unsigned>(std::clamp<std::int64_t>(seconds, 1, 120))});
    run_.pools->pool_status(status);
}

void App::tick() {
    ticker_.expires_after(tick_interval);
    ticker_.async_wait([this](const boost::system::error_code& error) {
        if (!error) tick();
    });
    run_.overload->tick();
    run_.pools->tick();
    for (const config::Pool& pool : run_.config->pools) {
        upstream::Roster* const roster = run_.pools->roster(pool.name);
        PoolDesk& desk = run_.desks.at(pool.name);
        desk.late = desk.late && !run_.pools->find(pool.name)->has_ready();
        if (roster == nullptr || run_.draining) continue;
        prober_->check(*roster);
        read_watch_.touch(*roster);
    }
    resolve_names();
    if (++ticks_ % 4 == 0) {
        tell(run_.pools->stats());
        tell(run_.pools->seen());
    }
    if (ticks_ % 240 == 0) run_.tickets->advance(run_.clock.now());
    if (run_.doors_closed) check_drained();
}

void App::resolve_names() {
    for (const std::string& host : run_.pools->names_due()) resolver_.resolve(host);
}

void App::on(control::DrainAll& drain) {
    run_.draining = true;
    succeeded_ = drain.successor;
    if (succeeded_) reports_.leave();
    drain_deadline_.expires_after(drain.delay + drain.timeout);
}

void App::on(control::ListenersClosed&) {
    // The deadline that DrainAll told counts from now.
    const auto left = drain_deadline_.expiry() - std::chrono::steady_clock::now();
    begin_drain(std::max(std::chrono::duration_cast<milliseconds>(left), milliseconds(0)));
}

/// Tunnels are told at once, or, where another proxy has taken over, in time for the end of `timeout`.
void App::begin_drain(milliseconds timeout) {
    if (!run_.serving || std::exchange(run_.doors_closed, true)) return;
    run_.draining = true;
    run_.lanes->drain(succeeded_ ? std::min(idle_patience, timeout / 2) : milliseconds(0));
    const milliseconds goodbye = succeeded_ ? timeout - std::min(tunnel_goodbye, timeout / 2) : milliseconds(0);
    drain_deadline_.expires_after(goodbye);
    drain_deadline_.async_wait([this, left = timeout - goodbye](const boost::system::error_code& error) {
        if (error || drained_) return;
        run_.lanes->close_tunnels(succeeded_ ? http::ws_service_restart : http::ws_going_away);
        end_drain(left);
    });
}

void App::end_drain(milliseconds timeout) {
    drain_deadline_.expires_after(timeout);
    drain_deadline_.async_wait([this](const boost::system::error_code& error) {
        if (error || drained_) return;
        drained_ = true;
        const std::uint64_t left = run_.pools->busy();
        run_.pools->close();
        tell(control::Drained{left});
        if (orphaned_) finish();
    });
}

void App::check_drained() {
    if (drained_ || run_.lanes->open() > 0 || run_.pools->busy() > 0) return;
    drained_ = true;
    drain_deadline_.cancel();
    tell(control::Drained{0});
    if (orphaned_) finish();
}

/// The end, in the order of who uses whom.
void App::finish() {
    ticker_.cancel();
    drain_deadline_.cancel();
    if (prober_) prober_->stop();
    read_watch_.stop();
    reports_.stop();
    resolver_.stop();
    if (run_.pools) run_.pools->close();
    if (run_.lanes) run_.lanes->stop();
    run_.log_thread.reset();
    mailbox_.stop();
    io_.stop();
}

}  // namespace

int run_proxy(control::Channel channel) {
    const bool openssl_heap = tls::install_openssl_heap();
    return std::make_unique<App>(std::move(channel))->run(openssl_heap);
}

}  // namespace edgeproxy::proxy
