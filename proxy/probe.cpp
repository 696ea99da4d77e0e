// SPDX-License-Identifier: Apache-2.0
#include "proxy/probe.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>

#include "proxy/http/body_reader.hpp"
#include "proxy/http/http1_reader.hpp"
#include "proxy/pressure.hpp"
#include "proxy/probe_http2.hpp"
#include "proxy/probe_wire.hpp"

namespace edgeproxy::proxy {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using Socket = asio::generic::stream_protocol::socket;
using Outcome = ProbeResult::Outcome;

/// An answer to a probe may have so many bytes; more is no health page.
constexpr std::size_t most_bytes = 1024 * 1024;
/// What was learned about an endpoint is dropped when it was not looked at for so long.
constexpr std::chrono::minutes forgotten{1};

std::string probe_text(const config::Health& health, const ProbeTarget& to) {
    const std::string path = health.path.empty() ? "/" : health.path;
    const std::string& host = !health.host.empty() ? health.host : to.authority;
    return "GET " + path + " HTTP/1.1\r\nHost: " + host +
           "\r\nUser-Agent: edgeproxy-probe\r\nAccept: */*\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
}

/// Takes the answer in until it is complete. Large, so on the heap: one per probe under way.
class Answer {
 public:
    /// True when nothing more is needed: complete, or hopeless (`failed`).
    bool feed(std::string_view bytes) {
        text_ += bytes;
        while (!head_done_) {
            const auto read = reader_.read(text_, http::Method::get, response_);
            if (read.status == http::ReadResult::Status::incomplete) return text_.size() > most_bytes;
            if (read.status == http::ReadResult::Status::failed) return failed_ = true;
            status_ = response_.status;
            head_done_ = !response_.interim();
            body_.start(response_.body);
            text_.erase(0, read.head_size);
        }
        for (std::string_view rest = text_; !rest.empty() && !body_.done();) {
            const auto step = body_.next(rest);
            if (step.error != http::errc::ok) return failed_ = true;
            seen_ += step.consumed;
            rest.remove_prefix(step.consumed);
        }
        text_.clear();
        return body_.done() || seen_ > most_bytes;
    }
    bool complete(bool at_end) const {
        return !failed_ && head_done_ && (body_.done() || (at_end && body_.complete_at_eof()));
    }
    unsigned status() const { return status_; }

 private:
    http::ResponseReader reader_;
    http::Response response_;
    http::BodyReader body_;
    std::string text_;
    std::size_t seen_ = 0;
    unsigned status_ = 0;
    bool head_done_ = false, failed_ = false;
};

ProbeResult failure(Outcome outcome, std::string why) {
    return {outcome, 0, std::move(why)};
}

/// The rest of a probe where HTTP/2 is spoken.
asio::awaitable<ProbeResult> probe_http2(ProbeWire& wire, const ProbeTarget& to, const config::Health& health) {
    const auto request = std::make_unique<Http2Probe>(probe_text(health, to), to.transport.tls ? "https" : "http");
    for (std::size_t taken = 0; !request->over() && taken <= most_bytes;) {
        const bool sent = co_await wire.write(request->take_output());
        if (!sent) co_return failure(Outcome::failed, wire.why());
        const std::string bytes = co_await wire.read();
        if (bytes.empty()) break;
        taken += bytes.size();
        request->feed(bytes);
    }
    if (request->complete()) co_return ProbeResult{Outcome::answered, request->status(), {}};
    co_return failure(Outcome::failed, wire.why().empty() ? "no complete HTTP/2 answer" : wire.why());
}

/// One probe on a socket that `shared` holds, so that somebody else can close it (deadline, the worker is gone).
asio::awaitable<ProbeResult> probe(std::shared_ptr<Socket> shared, ProbeTarget to, config::Health health) {
    ProbeWire wire{*shared, to};
    const ProbeWire::Opened opened = co_await wire.open();
    if (opened == ProbeWire::Opened::refused) co_return failure(Outcome::refused, "connection refused");
    if (opened == ProbeWire::Opened::failed) co_return failure(Outcome::failed, wire.why());
    if (wire.is_http2()) co_return co_await probe_http2(wire, to, health);
    const bool sent = co_await wire.write(probe_text(health, to));
    if (!sent) co_return failure(Outcome::failed, wire.why());
    const auto answer = std::make_unique<Answer>();
    for (bool enough = false; !enough;) {
        const std::string bytes = co_await wire.read();
        if (bytes.empty()) break;
        enough = answer->feed(bytes);
    }
    if (answer->complete(wire.at_end())) co_return ProbeResult{Outcome::answered, answer->status(), {}};
    co_return failure(Outcome::failed, wire.why().empty() ? "no complete HTTP answer" : wire.why());
}

}  // namespace

bool passes(const config::Health& health, unsigned status) {
    if (health.expect_low == 0 && health.expect_high == 0) return true;
    return status >= health.expect_low && status <= health.expect_high;
}

struct Prober::State : std::enable_shared_from_this<State> {
    State(asio::io_context& io, Reports to) : context(io), reports(std::move(to)) {}

    /// A worker that is not ready yet.
    struct Start {
        std::shared_ptr<Socket> socket;
        std::shared_ptr<asio::steady_timer> pause;
    };
    /// The health of one endpoint.
    struct Check {
        std::chrono::steady_clock::time_point next{};
        bool running = false;
    };

    asio::io_context& context;
    Reports reports;
    std::map<control::Incarnation, Start> starts;
    std::map<upstream::EndpointId, Check> checks;
    bool stopped = false;

    asio::awaitable<void> watch_start(control::WorkerUp up, config::Health health, upstream::Transport::Http http);
    asio::awaitable<void> check_once(upstream::Roster* roster, upstream::EndpointId id, ProbeTarget to,
                                     config::Health health);
};

asio::awaitable<void> Prober::State::watch_start(control::WorkerUp up, config::Health health,
                                                 upstream::Transport::Http http) {
    const auto self = shared_from_this();
    const ProbeTarget to{up.address, {http, nullptr, {}}, up.address.is_unix() ? "localhost" : up.address.to_string()};
    const auto pause = std::make_shared<asio::steady_timer>(context);
    for (;;) {
        const auto socket = std::make_shared<Socket>(context);
        starts[up.incarnation] = {socket, pause};
        const ProbeResult result = co_await probe(socket, to, health);
        const auto still = starts.find(up.incarnation);
        if (still == starts.end() || stopped) co_return;
        if (result.outcome == Outcome::answered && passes(health, result.status)) {
            starts.erase(still);
            reports.ready(up.incarnation, result.status);
            co_return;
        }
        // A socket that the master held and that refuses has no process any more; the master will say so.
        if (result.outcome == Outcome::refused && up.held) co_return;
        if (result.outcome == Outcome::answered)
            reports.rejected(up.incarnation,
                             "the health probe was answered with status " + std::to_string(result.status));
        boost::system::error_code error;
        pause->expires_after(result.outcome == Outcome::answered ? start_interval : bind_poll);
        co_await pause->async_wait(asio::redirect_error(use_awaitable, error));
        if (stopped || !starts.contains(up.incarnation)) co_return;
    }
}

namespace {

/// Closes the socket at the deadline. When this loop itself is late, the answer may be there already and only not read
/// yet: then it gets its grace, once.
void close_at(std::shared_ptr<Socket> socket, std::shared_ptr<asio::steady_timer> deadline, io::Duration timeout) {
    deadline->async_wait([socket, deadline, timeout](const boost::system::error_code& error) {
        if (error) return;
        boost::system::error_code ignored;
        const io::Duration late = std::chrono::steady_clock::now() - deadline->expiry();
        const io::Duration grace = probe_grace(timeout, late);
        if (grace <= io::Duration::zero()) {
            socket->close(ignored);
            return;
        }
        deadline->expires_after(grace);
        deadline->async_wait([socket](const boost::system::error_code& again) {
            boost::system::error_code unused;
            if (!again) socket->close(unused);
        });
    });
}

}  // namespace

asio::awaitable<void> Prober::State::check_once(upstream::Roster* roster, upstream::EndpointId id, ProbeTarget to,
                                                config::Health health) {
    const auto self = shared_from_this();
    const auto socket = std::make_shared<Socket>(context);
    const auto deadline = std::make_shared<asio::steady_timer>(context, health.timeout);
    close_at(socket, deadline, health.timeout);
    const ProbeResult result = co_await probe(socket, std::move(to), health);
    deadline->cancel();
    if (stopped) co_return;
    const auto found = checks.find(id);
    if (found == checks.end()) co_return;
    found->second.running = false;
    roster->probed(id, result.outcome == Outcome::answered && passes(health, result.status));
}

Prober::Prober(asio::io_context& context, Reports reports)
    : state_(std::make_shared<State>(context, std::move(reports))) {}

Prober::~Prober() {
    stop();
}

void Prober::await_ready(const control::WorkerUp& up, const config::Pool& pool) {
    const auto http = upstream::http_of(pool.protocol);
    asio::co_spawn(state_->context, state_->watch_start(up, pool.health, http), asio::detached);
}

void Prober::forget(control::Incarnation incarnation) {
    const auto found = state_->starts.find(incarnation);
    if (found == state_->starts.end()) return;
    const State::Start start = found->second;
    state_->starts.erase(found);
    boost::system::error_code ignored;
    start.socket->close(ignored);
    start.pause->cancel();
}

void Prober::check(upstream::Roster& roster) {
    const config::Health& health = roster.config().health;
    if (health.path.empty() || health.interval.count() == 0) return;
    const auto now = std::chrono::steady_clock::now();
    // Ids are never used twice: of endpoints that are gone nothing may stay.
    std::erase_if(state_->checks,
                  [&](const auto& one) { return !one.second.running && one.second.next + forgotten < now; });
    for (const upstream::EndpointStatus& endpoint : roster.status()) {
        const bool probed = endpoint.state == upstream::EndpointState::ready ||
                            endpoint.state == upstream::EndpointState::suspect ||
                            (endpoint.state == upstream::EndpointState::starting && endpoint.identity.incarnation == 0);
        if (!probed) continue;
        // A server that is full by our own count would answer late and is not ill for that.
        if (endpoint.limit > 0 && endpoint.in_flight >= endpoint.limit) continue;
        State::Check& check = state_->checks[endpoint.identity.id];
        if (check.running || now < check.next) continue;
        check.running = true;
        check.next = now + health.interval;
        asio::co_spawn(
            state_->context,
            state_->check_once(&roster, endpoint.identity.id,
                               {endpoint.identity.address, endpoint.identity.transport, endpoint.identity.authority},
                               health),
            asio::detached);
    }
}

void Prober::stop() {
    state_->stopped = true;
    while (!state_->starts.empty()) forget(state_->starts.begin()->first);
    state_->checks.clear();
}

}  // namespace edgeproxy::proxy
