// SPDX-License-Identifier: Apache-2.0
#include "proxy/app.hpp"

#include <fmt/format.h>
#include <nghttp2/nghttp2ver.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>
#include <csignal>
#include <map>
#include <optional>

#include "config/load.hpp"
#include "proxy/admin/log_thread.hpp"
#include "proxy/admin/log_writer.hpp"
#include "proxy/admin/metrics.hpp"
#include "proxy/admin/server.hpp"
#include "proxy/lanes.hpp"
#include "proxy/probe.hpp"
#include "tls/tickets.hpp"
#include "upstream/pools.hpp"

namespace edgeproxy::proxy {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t largest_config = 8 * 1024 * 1024;
constexpr std::size_t largest_pem = 1024 * 1024;
constexpr milliseconds tick_interval{250};
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
    explicit App(control::Channel channel) : channel_(std::move(channel)), descriptor_(io_, ::dup(channel_.fd())) {}
    int run();

 private:
    /// What the control thread knows of a pool beside its roster.
    struct PoolDesk {
        PoolNotes notes;
        admin::StartHistogram starts;
        std::map<control::Incarnation, std::chrono::steady_clock::time_point> starting;
    };

    void wait_for_messages();
    void read_messages();
    void wait_to_flush();
    void tell(control::Message message);
    void channel_ended();

    void on(control::Hello& hello) { master_pid_ = hello.master_pid; }
    void on(control::LogFiles& files);
    void on(control::Listeners& listeners);
    void on(control::KeyMaterial& material);
    void on(control::ConfigMessage& message);
    void on(control::WorkerUp& up);
    void on(control::WorkerDrain& drain);
    void on(control::WorkerGone& gone);
    void on(control::PoolStatus& status);
    void on(control::WorkerUsage& usage) { usages_[{usage.pool, usage.slot}] = usage; }
    void on(control::DrainAll& drain);
    void on(control::ListenersClosed&);
    void on(control::Ping& ping) { tell(control::Pong{ping.number}); }
    template <class Other>
    void on(Other&) {}  // the rest is what we say, not what we hear

    void build(std::shared_ptr<const config::Config> config);
    std::shared_ptr<const tls::Identities> load_identities(const config::Config& config);
    std::vector<Door> take_doors(const config::Config& config);
    void start_admin(const config::Config& config);
    admin::MetricSources sources();
    admin::Readiness readiness() const;
    void tick();
    void resolve_names();
    void begin_drain(milliseconds timeout);
    void check_drained();
    void finish();

    asio::io_context io_{1};
    control::Channel channel_;
    asio::posix::stream_descriptor descriptor_;
    bool waiting_to_flush_ = false;
    std::int32_t master_pid_ = 0;

    io::Clock clock_ = io::Clock::real();
    config::Log log_;
    std::optional<admin::LogDescriptors> log_files_;
    std::vector<control::ListenerSocket> sockets_;
    std::map<std::uint32_t, tls::Pem> pems_;

    std::shared_ptr<const config::Config> config_;
    std::string config_hash_;  ///< the beginning of the SHA-256 of the canonical long form
    std::unique_ptr<admin::AccessLog> access_log_;
    std::unique_ptr<admin::LogWriter> log_writer_;
    std::unique_ptr<admin::LogThread> log_thread_;
    admin::Registry registry_;
    std::unique_ptr<tls::TicketKeys> tickets_;
    std::shared_ptr<const tls::Identities> identities_;
    std::map<std::string, PoolDesk> desks_;
    std::map<std::pair<std::string, std::uint32_t>, control::WorkerUsage> usages_;
    std::unique_ptr<Lanes> lanes_;
    std::unique_ptr<upstream::Pools> pools_;
    std::unique_ptr<Prober> prober_;
    std::unique_ptr<admin::Metrics> metrics_;
    std::unique_ptr<admin::Server> server_;
    std::unique_ptr<asio::thread_pool> resolver_;
    asio::steady_timer ticker_{io_};
    asio::steady_timer drain_deadline_{io_};
    unsigned ticks_ = 0;
    bool serving_ = false, draining_ = false, doors_closed_ = false, drained_ = false, orphaned_ = false;
    int exit_code_ = 0;
};

int App::run() {
    ::signal(SIGPIPE, SIG_IGN);
    // The master decides when we stop; a terminal's Ctrl-C reaches the whole group.
    for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
    wait_for_messages();
    io_.run();
    return exit_code_;
}

void App::wait_for_messages() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (error) return;
        read_messages();
    });
}

void App::read_messages() {
    for (;;) {
        auto received = channel_.receive();
        if (!received) return channel_ended();
        if (!*received) break;
        std::visit([this](auto& message) { on(message); }, **received);
    }
    wait_for_messages();
}

void App::tell(control::Message message) {
    if (!channel_.send(std::move(message))) return;  // the end of the channel is noticed by the reader
    if (channel_.wants_write()) wait_to_flush();
}

void App::wait_to_flush() {
    if (std::exchange(waiting_to_flush_, true)) return;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_write, [this](const boost::system::error_code& error) {
        waiting_to_flush_ = false;
        if (error) return;
        if (channel_.flush() && channel_.wants_write()) wait_to_flush();
    });
}

/// The end of the channel: after a drain it is the master's goodbye, without one the master died.
void App::channel_ended() {
    if (drained_ || !serving_) return finish();
    orphaned_ = true;
    log_.error("master_gone", "the master process is gone; finishing what is in flight");
    begin_drain(orphan_grace);
}

void App::on(control::LogFiles& files) {
    admin::LogDescriptors descriptors{std::move(files.log), std::move(files.access)};
    if (log_writer_) {
        log_writer_->configure(config_->logging, std::move(descriptors));
        log_thread_->wake();
    } else {
        log_files_ = std::move(descriptors);
    }
}

void App::on(control::Listeners& listeners) {
    for (control::ListenerSocket& socket : listeners.sockets) sockets_.push_back(std::move(socket));
}

void App::on(control::KeyMaterial& material) {
    const auto chain = control::read_sealed(material.cert, largest_pem);
    const auto key = control::read_sealed(material.key, largest_pem);
    if (chain && key) pems_[material.index] = {*chain, *key};
}

void App::on(control::ConfigMessage& message) {
    const auto refuse = [&](std::string why) {
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
    config_hash_ = short_hash(*text);
    try {
        build(std::move(loaded.config));
    } catch (const std::exception& problem) {
        return refuse(problem.what());
    }
    tell(control::ConfigResult{message.generation, true, {}});
    tell(control::Ready{message.generation});
}

std::shared_ptr<const tls::Identities> App::load_identities(const config::Config& config) {
    const bool wanted =
        std::any_of(config.listeners.begin(), config.listeners.end(), [](const auto& one) { return one.tls; });
    if (!wanted) return nullptr;
    std::vector<tls::Pem> pems;
    if (config.tls.dev) pems.push_back(tls::dev_certificate(std::chrono::system_clock::now()));
    for (std::uint32_t i = 0; !config.tls.dev && i < config.tls.certificates.size(); ++i)
        pems.push_back(std::move(pems_[i]));
    pems_.clear();
    auto identities = tls::Identities::load(config.tls, pems, *tickets_);
    if (!identities) {
        const tls::CertificateError& error = identities.error();
        const std::string file =
            config.tls.dev ? std::string("development certificate") : config.tls.certificates[error.index].cert;
        throw std::runtime_error("certificate " + file + ": " + error.message);
    }
    return *identities;
}

std::vector<Door> App::take_doors(const config::Config& config) {
    std::vector<Door> doors;
    for (control::ListenerSocket& socket : sockets_) {
        if (socket.name == control::metrics_listener) continue;
        for (std::size_t i = 0; i < config.listeners.size(); ++i) {
            if (config.listeners[i].name != socket.name) continue;
            doors.push_back({i, socket.address.port, std::make_shared<const io::UniqueFd>(std::move(socket.fd))});
            break;
        }
    }
    return doors;
}

void App::build(std::shared_ptr<const config::Config> config) {
    config_ = config;
    log_.set_level(config->logging.level);
    const unsigned threads = std::max(1u, config->server.threads);
    if (config->logging.access.enabled) access_log_ = std::make_unique<admin::AccessLog>(threads);
    log_writer_ = std::make_unique<admin::LogWriter>(log_, access_log_.get(), config->logging,
                                                     log_files_ ? std::move(*log_files_) : admin::LogDescriptors{});
    log_thread_ = std::make_unique<admin::LogThread>(log_, access_log_.get(), *log_writer_);
    tickets_ = std::make_unique<tls::TicketKeys>(clock_.now());
    identities_ = load_identities(*config);

    lanes_ = std::make_unique<Lanes>(threads, clock_, access_log_.get());
    upstream::Pools::Outside outside;
    outside.post = [this](std::function<void()> work) { asio::post(io_, std::move(work)); };
    outside.events.drained = [this](control::Incarnation incarnation, std::uint64_t left_over) {
        tell(control::WorkerDrained{incarnation, left_over});
    };
    outside.events.health_changed = [this](control::Incarnation incarnation, bool healthy) {
        if (healthy) return tell(control::Healthy{incarnation});
        tell(control::Unhealthy{incarnation, "the health probe fails"});
    };
    const std::vector<io::Reactor*> reactors = lanes_->reactors();
    pools_ = std::make_unique<upstream::Pools>(reactors, clock_, log_, std::move(outside));
    pools_->configure(config->pools);
    for (const config::Pool& pool : config->pools) desks_.try_emplace(pool.name);
    prober_ =
        std::make_unique<Prober>(io_, Prober::Reports{[this](control::Incarnation incarnation, unsigned status) {
                                                          pools_->worker_ready(incarnation);
                                                          for (auto& [name, desk] : desks_) {
                                                              const auto started = desk.starting.extract(incarnation);
                                                              if (started)
                                                                  desk.starts.observe(clock_.now() - started.mapped());
                                                          }
                                                          tell(control::WorkerReady{incarnation, status});
                                                      },
                                                      [this](control::Incarnation incarnation, std::string why) {
                                                          tell(control::StartRejected{incarnation, std::move(why)});
                                                      }});

    const SnapshotParts parts{registry_, identities_, [this](const std::string& name) { return pools_->find(name); },
                              [this](const std::string& name) { return &desks_.at(name).notes; }};
    const auto snapshot = make_snapshot(config, parts);
    const std::vector<Door> doors = take_doors(*config);
    start_admin(*config);
    lanes_->start(snapshot, doors);
    serving_ = true;
    tick();
}

admin::Readiness App::readiness() const {
    admin::Conditions conditions;
    conditions.configured = serving_;
    conditions.listeners_bound = serving_ && !doors_closed_;
    conditions.draining = draining_;
    conditions.loops_turn = admin::loops_turn(lanes_->cells(), std::chrono::steady_clock::now());
    for (const config::Pool& pool : config_->pools) {
        admin::PoolCondition condition;
        condition.name = pool.name;
        condition.required = pool.required;
        for (const upstream::EndpointStatus& endpoint : pools_->roster(pool.name)->status()) {
            ++condition.endpoints;
            if (endpoint.state == upstream::EndpointState::ready) ++condition.ready;
        }
        condition.reason = desks_.at(pool.name).notes.get().reason;
        conditions.pools.push_back(std::move(condition));
    }
    return admin::judge(conditions);
}

admin::MetricSources App::sources() {
    admin::MetricSources sources;
    sources.build = {EDGEPROXY_VERSION, "", "g++ " __VERSION__, OPENSSL_VERSION_TEXT, NGHTTP2_VERSION,
                     BOOST_LIB_VERSION};
    sources.start_time =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    sources.registry = &registry_;
    sources.lanes = lanes_->cells();
    sources.ready = [this] { return readiness().ready; };
    sources.config_hash = [this] { return config_hash_; };
    sources.pools = [this] {
        std::vector<admin::PoolSample> samples;
        for (const upstream::Pools::Entry* entry : pools_->all()) {
            const config::Pool* pool = config_->find_pool(entry->pool.name());
            const bool managed = pool != nullptr && pool->managed;
            samples.push_back(
                admin::sample(entry->pool, *entry->roster, managed ? &desks_.at(pool->name).starts : nullptr));
        }
        return samples;
    };
    sources.workers = [this] {
        std::vector<control::WorkerUsage> all;
        for (const auto& [key, usage] : usages_) all.push_back(usage);
        return all;
    };
    sources.certificates = [this] {
        std::vector<admin::CertificateSample> all;
        if (!identities_) return all;
        for (const tls::CertificateInfo& info : identities_->infos()) {
            const auto seconds =
                std::chrono::duration_cast<std::chrono::seconds>(info.not_after.time_since_epoch()).count();
            all.push_back(
                {info.names.empty() ? info.subject : info.names.front(), config_->tls.dev ? "dev" : "file", seconds});
        }
        return all;
    };
    sources.access_dropped = [this] { return log_writer_->access_dropped(); };
    sources.log_dropped = [this] { return log_writer_->log_dropped(); };
    return sources;
}

void App::start_admin(const config::Config& config) {
    if (!config.metrics.enabled) return;
    metrics_ = std::make_unique<admin::Metrics>(sources());
    admin::Answers answers;
    answers.metrics_path = config.metrics.path;
    answers.metrics = [this] { return metrics_->scrape(); };
    answers.live = [this] { return admin::loops_turn(lanes_->cells(), std::chrono::steady_clock::now()); };
    answers.readiness = [this] { return readiness(); };
    server_ = std::make_unique<admin::Server>(io_, std::move(answers));
    for (control::ListenerSocket& socket : sockets_) {
        if (socket.name == control::metrics_listener && socket.fd) server_->listen(std::move(socket.fd));
    }
}

void App::on(control::WorkerUp& up) {
    if (!serving_) return;
    const config::Pool* pool = config_->find_pool(up.pool);
    if (pool == nullptr) return;
    pools_->worker_up(up);
    if (!up.replayed) desks_.at(up.pool).starting[up.incarnation] = clock_.now();
    prober_->await_ready(up, pool->health);
}

void App::on(control::WorkerDrain& drain) {
    if (serving_) pools_->worker_drain(drain);
}

void App::on(control::WorkerGone& gone) {
    if (!serving_) return;
    prober_->forget(gone.incarnation);
    pools_->worker_gone(gone);
    for (auto& [name, desk] : desks_) desk.starting.erase(gone.incarnation);
}

void App::on(control::PoolStatus& status) {
    if (!serving_) return;
    const auto desk = desks_.find(status.pool);
    if (desk == desks_.end()) return;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(status.retry_after).count();
    desk->second.notes.set(
        {status.reason, status.last_lines, static_cast<unsigned>(std::clamp<std::int64_t>(seconds, 1, 120))});
    pools_->pool_status(status);
}

void App::tick() {
    ticker_.expires_after(tick_interval);
    ticker_.async_wait([this](const boost::system::error_code& error) {
        if (!error) tick();
    });
    pools_->tick();
    for (const config::Pool& pool : config_->pools) {
        if (upstream::Roster* roster = pools_->roster(pool.name); roster != nullptr && !draining_)
            prober_->check(*roster);
    }
    resolve_names();
    if (++ticks_ % 4 == 0) tell(pools_->stats());
    if (ticks_ % 240 == 0) tickets_->advance(clock_.now());
    if (doors_closed_) check_drained();
}

void App::resolve_names() {
    for (const std::string& host : pools_->names_due()) {
        if (!resolver_) resolver_ = std::make_unique<asio::thread_pool>(1);
        asio::post(*resolver_, [this, host] {
            upstream::Resolved result = upstream::resolve(host);
            asio::post(io_, [this, host, result = std::move(result)] { pools_->resolved(host, result); });
        });
    }
}

void App::on(control::DrainAll& drain) {
    draining_ = true;
    drain_deadline_.expires_after(drain.delay + drain.timeout);
}

void App::on(control::ListenersClosed&) {
    // The deadline that DrainAll told counts from now.
    const auto left = drain_deadline_.expiry() - std::chrono::steady_clock::now();
    begin_drain(std::max(std::chrono::duration_cast<milliseconds>(left), milliseconds(0)));
}

void App::begin_drain(milliseconds timeout) {
    if (!serving_ || std::exchange(doors_closed_, true)) return;
    draining_ = true;
    lanes_->drain();
    drain_deadline_.expires_after(timeout);
    drain_deadline_.async_wait([this](const boost::system::error_code& error) {
        if (error || drained_) return;
        drained_ = true;
        const std::uint64_t left = pools_->busy();
        pools_->close();
        tell(control::Drained{left});
        if (orphaned_) finish();
    });
}

void App::check_drained() {
    if (drained_ || lanes_->open() > 0 || pools_->busy() > 0) return;
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
    if (server_) server_->stop();
    if (pools_) pools_->close();
    if (lanes_) lanes_->stop();
    if (resolver_) resolver_->join();
    log_thread_.reset();
    descriptor_.cancel();
    io_.stop();
}

}  // namespace

int run_proxy(control::Channel channel) {
    const auto app = std::make_unique<App>(std::move(channel));
    return app->run();
}

}  // namespace edgeproxy::proxy
