// SPDX-License-Identifier: Apache-2.0
#include "proxy/dispatch.hpp"

#include <algorithm>

#include "proxy/forward.hpp"
#include "proxy/http/target.hpp"
#include "proxy/local_reply.hpp"
#include "proxy/tunnel_rules.hpp"

namespace edgeproxy::proxy {
namespace {

/// Notes who asks, and what counts of it.
void begin(Connection& connection, Exchange& exchange, Workspace& work) {
    Lane& lane = connection.lane();
    const http::Request& request = work.request;
    work.snapshot = lane.snapshot;
    const config::Config& config = *work.snapshot->config;
    lane.wall.refresh(lane.reactor.now());
    identify(request, connection.arrival(), config.client_ip, config.headers.request_id, work.identity);
    work.request_id = work.identity.request_id;
    if (work.request_id.empty() && !config.headers.request_id.empty())
        work.request_id = lane.ids.next(lane.wall.unix_ms(), work.request_id_text);

    admin::ExchangeFigures& figures = exchange.figures;
    figures.start = lane.wall.now();
    figures.listener = connection.plan().name;
    figures.protocol = request.version;
    figures.method = request.method;
}

/// Hands it to the access log.
void log(Connection& connection, Exchange& exchange, const Workspace& work) {
    Lane& lane = connection.lane();
    if (!exchange.is_shed()) {
        lane.access_log->write(lane.reactor.index(), describe(connection, exchange, work));
    } else if (const admin::ExchangeRecord* const kept = exchange.kept_record()) {
        lane.access_log->write(lane.reactor.index(), *kept);
    }
}

/// Counts it and hands it to the access log.
void end(Connection& connection, Exchange& exchange, Workspace& work, io::TimePoint began, bool logged) {
    Lane& lane = connection.lane();
    exchange.figures.total = lane.reactor.precise_now() - began;
    // On HTTP/2 the session has counted it where the stream was reset.
    if (exchange.figures.protocol != http::Version::h2 && exchange.body_error() != http::errc::ok)
        lane.cells->count_malformed(exchange.body_error());
    lane.cells->count(exchange.figures);
    if (logged && lane.access_log != nullptr) log(connection, exchange, work);
    if (!exchange.is_shed()) work.snapshot.reset();
}

io::Task<void> answer_locally(Connection& connection, Exchange& exchange, Workspace& work, const Reason& why) {
    Lane& lane = connection.lane();
    const auto answer = lane.answers.take();
    const auto sent = co_await reply(exchange, why, work.snapshot->config->error_pages, answer->head, lane.wall.date(),
                                     work.request_id);
    static_cast<void>(sent);
}

/// A head with the fields that every answer of ours has.
void prepare(ResponseHead& head, unsigned status, std::uint64_t length, const Lane& lane) {
    head.reset();
    head.status = status;
    head.body = {http::Body::Kind::length, length};
    head.fields.push("Date", lane.wall.date());
}

/// `to` with {scheme} {host} {uri} {path} {query} filled in. Every byte of those has passed the parsers, so the result
/// is a clean field value.
std::string expand(std::string_view to, const http::Request& request, const Identity& identity) {
    std::string out;
    while (!to.empty()) {
        const std::size_t brace = to.find('{');
        out += to.substr(0, brace);
        if (brace == std::string_view::npos) break;
        to.remove_prefix(brace);
        const std::size_t close = to.find('}');
        const std::string_view name = close == std::string_view::npos ? std::string_view() : to.substr(1, close - 1);
        if (name == "scheme") out += identity.proto;
        if (name == "host") out += request.authority;
        if (name == "uri") out += request.target;
        if (name == "path") out += request.path;
        if (name == "query") out += request.query;
        to.remove_prefix(close == std::string_view::npos ? to.size() : close + 1);
    }
    return out;
}

io::Task<void> redirect(Connection& connection, Exchange& exchange, Workspace& work, std::string location,
                        unsigned status) {
    const auto answer = connection.lane().answers.take();
    prepare(answer->head, status, 0, connection.lane());
    answer->head.fields.push("Location", location);
    if (!work.request_id.empty()) answer->head.fields.push("X-Request-ID", work.request_id);
    const auto sent = co_await exchange.respond(answer->head, {}, true);
    if (!sent) exchange.figures.error = exchange.loss();
}

/// The listener answers everything with 308 to https.
io::Task<void> redirect_to_https(Connection& connection, Exchange& exchange, Workspace& work) {
    const http::Request& request = work.request;
    if (request.host.empty()) {
        co_await answer_locally(connection, exchange, work, reason(http::errc::no_host));
        co_return;
    }
    const bool v6 = request.host.find(':') != std::string_view::npos;
    std::string location = "https://";
    location += v6 ? "[" : "";
    location += request.host;
    location += v6 ? "]" : "";
    const std::uint16_t port = connection.listener().redirect_port;
    if (port != 443) location += ":" + std::to_string(port);
    location += request.target == "*" ? std::string_view("/") : request.target;
    co_await redirect(connection, exchange, work, std::move(location), 308);
}

io::Task<void> respond_fixed(Connection& connection, Exchange& exchange, Workspace& work,
                             const config::Respond& fixed) {
    const auto answer = connection.lane().answers.take();
    prepare(answer->head, fixed.status, fixed.body.size(), connection.lane());
    if (!fixed.content_type.empty()) answer->head.fields.push("Content-Type", fixed.content_type);
    if (!work.request_id.empty()) answer->head.fields.push("X-Request-ID", work.request_id);
    const bool no_body = work.request.method == http::Method::head || fixed.status == 204 || fixed.status == 304;
    if (fixed.status == 204 || fixed.status == 304) answer->head.body = {};
    const auto sent =
        co_await exchange.respond(answer->head, no_body ? std::string_view() : std::string_view(fixed.body), true);
    if (!sent) exchange.figures.error = exchange.loss();
}

/// The name in the request belongs to a certificate with other rules about clients than those that this connection was
/// made under (RFC 9110, section 7.4).
bool is_misdirected(Connection& connection, const http::Request& request) {
    const tls::Identities* const identities = connection.plan().identities;
    return identities != nullptr && connection.stream().is_tls() &&
           !identities->admits(connection.stream().tls_rules(), request.host);
}

/// Chooses the route and notes it; null (and answered) when there is none.
const RoutePlan* choose_route(Connection& connection, Workspace& work, const Reason*& why) {
    Lane& lane = connection.lane();
    io::Buffer scratch;
    std::span<char> space;
    if (!http::has_one_reading(work.request.path)) {
        scratch = lane.reactor.buffers().take_large();
        space = scratch.span();
    }
    const RouteChoice choice = work.snapshot->router.choose(work.request, space);
    if (choice.verdict == RouteChoice::Verdict::found) return &work.snapshot->routes[choice.index];
    why = &reason(choice.verdict == RouteChoice::Verdict::none ? Refusal::no_route : Refusal::ambiguous_target);
    return nullptr;
}

/// Why no request of this source, or none at all, is served at this moment; null = it is served.
const Reason* guard(const Connection& connection, const Workspace& work) {
    Lane& lane = connection.lane();
    if (lane.pressure >= Pressure::refusing) {
        lane.cells->hit(admin::Limit::memory_refusing);
        return &reason(Refusal::memory);
    }
    if (lane.lags) {
        lane.cells->hit(admin::Limit::loop_lag);
        return &reason(Refusal::overload);
    }
    if (lane.limits == nullptr || !lane.limits->requests().limits()) return nullptr;
    const auto ip = config::parse_ip(work.identity.client_ip);
    if (!ip) return nullptr;
    std::array<std::uint8_t, 16> bytes;
    std::copy(std::begin(ip->bytes), std::end(ip->bytes), bytes.begin());
    // A trusted proxy that does not say for whom it asks speaks for many.
    if (work.identity.trusted && is_within(bytes, lane.snapshot->config->client_ip.trusted_proxies)) return nullptr;
    if (lane.limits->requests().take(source_of(bytes), connection.now())) return nullptr;
    lane.cells->hit(admin::Limit::requests_per_source);
    return &reason(Refusal::rate_limited);
}

bool is_excluded(const config::AccessLog& log, std::string_view path) {
    for (const std::string& prefix : log.exclude) {
        if (path.starts_with(prefix) &&
            (path.size() == prefix.size() || path[prefix.size()] == '/' || prefix.ends_with('/')))
            return true;
    }
    return false;
}

/// OPTIONS * asks about the server as a whole, and a request that may not go further about us.
io::Task<void> answer_options(Connection& connection, Exchange& exchange) {
    const auto answer = connection.lane().answers.take();
    prepare(answer->head, 204, 0, connection.lane());
    answer->head.body = {};
    answer->head.fields.push("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
    const auto sent = co_await exchange.respond(answer->head, {}, true);
    static_cast<void>(sent);
}

/// What the route does. Not a coroutine itself: one frame less on the way of every request.
io::Task<void> act(Connection& connection, Exchange& exchange, Workspace& work, const RoutePlan& plan) {
    if (plan.route->redirect) {
        std::string location = expand(plan.route->redirect->to, work.request, work.identity);
        return redirect(connection, exchange, work, std::move(location), plan.route->redirect->status);
    }
    if (plan.route->respond) return respond_fixed(connection, exchange, work, *plan.route->respond);
    if (work.request.websocket && !plan.route->websocket)
        return answer_locally(connection, exchange, work, reason(Refusal::websocket_off));
    if (work.request.websocket && !may_open_websocket(work.request, plan.route->allowed_origins))
        return answer_locally(connection, exchange, work, reason(Refusal::bad_origin));
    return forward(connection, exchange, plan, work);
}

/// What is done with the request, not begun yet. `logged`: it is to be.
io::Task<void> choose(Connection& connection, Exchange& exchange, Workspace& work, bool& logged) {
    Lane& lane = connection.lane();
    const Reason* why = lane.guarded ? guard(connection, work) : nullptr;
    if (why != nullptr) return answer_locally(connection, exchange, work, *why);
    if (is_misdirected(connection, work.request))
        return answer_locally(connection, exchange, work, reason(Refusal::misdirected));
    if (connection.listener().redirect_https) return redirect_to_https(connection, exchange, work);
    if (work.request.path == "*" || max_forwards(work.request) == 0u) return answer_options(connection, exchange);
    const RoutePlan* const plan = choose_route(connection, work, why);
    if (plan == nullptr) return answer_locally(connection, exchange, work, *why);
    exchange.figures.route_index = plan->index;
    exchange.figures.route = plan->name;
    exchange.figures.pool_index = plan->pool_index;
    exchange.figures.pool = plan->pool_name;
    exchange.figures.begun = true;
    lane.cells->began(plan->index);
    logged = plan->route->access_log && !is_excluded(work.snapshot->config->logging.access, work.request.path);
    return act(connection, exchange, work, *plan);
}

}  // namespace

admin::ExchangeRecord describe(const Connection& connection, const Exchange& exchange, const Workspace& work) {
    const http::Request& request = work.request;
    admin::ExchangeRecord record;
    static_cast<admin::ExchangeFigures&>(record) = exchange.figures;
    record.client_ip = work.identity.client_ip;
    record.peer = work.identity.peer();
    record.tls_version = connection.stream().tls_version();
    record.tls_resumed = connection.stream().tls_resumed();
    record.client_cert = connection.certificate_subject();
    record.method_text = request.method_text;
    record.scheme = work.identity.proto;
    record.host = request.authority;
    record.path = request.path;
    record.query = request.query;
    record.has_query = request.has_query;
    record.request_id = work.request_id;
    record.referer = request.fields.value(http::FieldId::referer);
    record.user_agent = request.fields.value(http::FieldId::user_agent);
    return record;
}

io::Task<void> dispatch(Connection& connection, Exchange& exchange, Workspace& work) {
    Lane& lane = connection.lane();
    const io::TimePoint began = lane.reactor.precise_now();
    begin(connection, exchange, work);
    bool logged = true;
    co_await choose(connection, exchange, work, logged);
    if (!exchange.is_shed() && work.request_trailers.dropped() != 0)
        lane.cells->count_dropped(admin::FieldDrop::trailer, work.request_trailers.dropped());
    end(connection, exchange, work, began, logged);
}

io::Task<void> refuse(Connection& connection, Exchange& exchange, Workspace& work, const Reason& why) {
    const io::TimePoint began = connection.lane().reactor.precise_now();
    begin(connection, exchange, work);
    co_await answer_locally(connection, exchange, work, why);
    end(connection, exchange, work, began, true);
}

io::Task<void> refuse(Connection& connection, Exchange& exchange, Workspace& work, http::errc error) {
    connection.lane().cells->count_malformed(error);
    const Reason why = reason(error);
    co_await refuse(connection, exchange, work, why);
}

}  // namespace edgeproxy::proxy
