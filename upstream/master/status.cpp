// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/status.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/text.hpp"
#include "config/text_escape.hpp"

namespace edgeproxy::master {
namespace {

// 5s, 12m, 3h, 2d: one unit, for a column.
std::string age(std::int64_t seconds) {
    constexpr std::int64_t minute = 60, hour = 60 * minute, day = 24 * hour;
    if (seconds < 2 * minute) return fmt::format("{}s", std::max<std::int64_t>(0, seconds));
    if (seconds < 2 * hour) return fmt::format("{}m", seconds / minute);
    if (seconds < 2 * day) return fmt::format("{}h", seconds / hour);
    return fmt::format("{}d", seconds / day);
}

std::string proxy_of(const StatusView& view) {
    if (view.proxy_pid == 0) return "proxy down";
    return fmt::format("proxy {}{}", view.proxy_pid, view.proxy_ready ? "" : " (starting)");
}

std::size_t ready_in(const PoolView& pool) {
    const auto ready = [](const auto& one) { return std::string_view(one.state) == "ready"; };
    const auto count = pool.managed ? std::count_if(pool.workers.begin(), pool.workers.end(), ready)
                                    : std::count_if(pool.endpoints.begin(), pool.endpoints.end(), ready);
    return static_cast<std::size_t>(count);
}

// Before the proxy has said anything, or about more endpoints than it tells of, nothing is known.
bool is_known(const PoolView& pool) {
    return std::none_of(pool.endpoints.begin(), pool.endpoints.end(),
                        [](const EndpointView& endpoint) { return endpoint.state.empty(); });
}

// The crew's word is about processes; one that gets no requests is not all right either.
std::string_view shown_state(const PoolView& pool) {
    if (!pool.managed) {
        if (!is_known(pool)) return "unknown";
        if (ready_in(pool) == 0) return "down";
        return ready_in(pool) == pool.endpoints.size() ? "ok" : "degraded";
    }
    const std::string_view state = pool.state;
    return state == "ok" && ready_in(pool) < pool.wanted ? "degraded" : state;
}

std::string worker_line(const WorkerView& worker, std::int64_t now) {
    std::string out = fmt::format("  {:<16} {:<9}", worker.name, worker.state);
    if (worker.pid != 0) {
        constexpr std::uint64_t mib = 1024 * 1024;
        out += fmt::format(" pid {:<7} up {:<5} {:>5} MiB  {} in flight  {} requests", worker.pid,
                           age(now - worker.started_at), worker.rss_bytes / mib, worker.in_flight, worker.requests);
    }
    if (worker.restarts > 0) out += fmt::format("  restarts {}", worker.restarts);
    if (worker.since > 0) out += fmt::format("  {} for {}", worker.state, age(now - worker.since));
    if (!worker.why.empty()) out += fmt::format("{}{}", worker.since > 0 ? ": " : "  ", worker.why);
    return out + "\n";
}

std::string scale_of(const PoolView& pool) {
    if (pool.pinned) return ", as set by hand until the next reload";
    return pool.max == 0 ? std::string() : fmt::format(", autoscaling from {} to {}", pool.min, pool.max);
}

std::string endpoint_line(const EndpointView& endpoint, std::int64_t now) {
    std::string out = "  " + endpoint.name;
    if (endpoint.address != endpoint.name) out += "  " + endpoint.address;
    if (endpoint.state.empty()) return out + "\n";
    out += fmt::format("  {}  {} in flight  {} requests", endpoint.state, endpoint.in_flight, endpoint.requests);
    if (endpoint.since > 0 && endpoint.state != "ready")
        out += fmt::format("  {} for {}", endpoint.state, age(now - endpoint.since));
    return out + "\n";
}

std::string external_lines(const PoolView& pool, std::int64_t now) {
    std::string out = "pool " + pool.name + ": ";
    if (is_known(pool)) out += fmt::format("{}, {} of ", shown_state(pool), ready_in(pool));
    out += config::counted(pool.endpoints.size(), "endpoint") + (is_known(pool) ? " ready\n" : "\n");
    for (const EndpointView& endpoint : pool.endpoints) out += endpoint_line(endpoint, now);
    return out;
}

std::string pool_lines(const PoolView& pool, std::int64_t now) {
    if (!pool.managed) return external_lines(pool, now);
    std::string out = fmt::format("pool {}: {}, {} of {} workers ready{}\n", pool.name, shown_state(pool),
                                  ready_in(pool), pool.wanted, scale_of(pool));
    for (const WorkerView& worker : pool.workers) out += worker_line(worker, now);
    if (!pool.reason.empty()) out += fmt::format("  {}\n", pool.reason);
    for (const std::string& line : pool.last_lines) out += fmt::format("    | {}\n", line);
    return out;
}

/// One JSON object or list that is being written.
class Json {
 public:
    void open(char bracket) {
        text_ += bracket;
        first_ = true;
    }
    void close(char bracket) {
        text_ += bracket;
        first_ = false;
    }
    void next() {
        if (!first_) text_ += ',';
        first_ = false;
    }
    void key(std::string_view name) {
        next();
        text_ += config::json_string(name);
        text_ += ':';
    }
    void member(std::string_view name, std::string_view value) {
        key(name);
        text_ += config::json_string(value);
    }
    template <class Number>
    void number(std::string_view name, Number value) {
        key(name);
        text_ += fmt::format("{}", value);
    }
    void list(std::string_view name, const std::vector<std::string>& values) {
        key(name);
        open('[');
        for (const std::string& value : values) {
            next();
            text_ += config::json_string(value);
        }
        close(']');
    }
    std::string take() { return std::move(text_); }

 private:
    std::string text_;
    bool first_ = true;
};

void add(Json& json, const WorkerView& worker) {
    json.next();
    json.open('{');
    json.member("name", worker.name);
    json.member("state", worker.state);
    json.number("pid", worker.pid);
    json.number("started_at", worker.started_at);
    json.number("rss_bytes", worker.rss_bytes);
    json.number("requests", worker.requests);
    json.number("in_flight", worker.in_flight);
    json.number("restarts", worker.restarts);
    json.number("since", worker.since);
    json.member("why", worker.why);
    json.close('}');
}

void add(Json& json, const EndpointView& endpoint) {
    json.next();
    json.open('{');
    json.member("name", endpoint.name);
    json.member("address", endpoint.address);
    json.member("state", endpoint.state.empty() ? "unknown" : endpoint.state);
    json.number("since", endpoint.since);
    json.number("requests", endpoint.requests);
    json.number("in_flight", endpoint.in_flight);
    json.close('}');
}

template <class View>
void add_all(Json& json, std::string_view name, const std::vector<View>& views) {
    json.key(name);
    json.open('[');
    for (const View& view : views) add(json, view);
    json.close(']');
}

void add(Json& json, const PoolView& pool) {
    json.next();
    json.open('{');
    json.member("name", pool.name);
    json.number("managed", pool.managed);
    json.number("wanted", pool.wanted);
    json.member("state", shown_state(pool));
    json.number("ready", ready_in(pool));
    if (pool.managed) {
        json.number("min", pool.max == 0 ? pool.wanted : pool.min);
        json.number("max", pool.max == 0 ? pool.wanted : pool.max);
        json.number("pinned", pool.pinned);
        json.member("reason", pool.reason);
        json.list("last_lines", pool.last_lines);
        add_all(json, "workers", pool.workers);
    } else {
        add_all(json, "endpoints", pool.endpoints);
    }
    json.close('}');
}

}  // namespace

std::string status_text(const StatusView& view) {
    std::string out = fmt::format("edgeproxy {}  pid {}  {}  {}  up {}\n", view.version, view.pid, proxy_of(view),
                                  view.phase, age(view.now - view.started_at));
    out += fmt::format("configuration {}: number {}, serving for {}\n", view.config_name, view.generation,
                       age(view.now - view.configured_at));
    if (!view.last_reload.empty()) out += fmt::format("last reload failed: {}\n", view.last_reload);
    if (view.leaving_proxy_pid > 0) out += fmt::format("old proxy pid {} ends what it has\n", view.leaving_proxy_pid);
    if (!view.last_upgrade.empty()) out += fmt::format("last upgrade failed: {}\n", view.last_upgrade);
    for (const std::string& listener : view.listeners) out += fmt::format("listen {}\n", listener);
    for (const PoolView& pool : view.pools) out += pool_lines(pool, view.now);
    return out;
}

std::string status_json(const StatusView& view) {
    Json json;
    json.open('{');
    json.member("version", view.version);
    json.number("pid", view.pid);
    json.number("proxy_pid", view.proxy_pid);
    json.number("proxy_ready", view.proxy_ready);
    json.member("phase", view.phase);
    json.number("started_at", view.started_at);
    json.member("config", view.config_name);
    json.number("generation", view.generation);
    json.number("configured_at", view.configured_at);
    json.member("last_reload_error", view.last_reload);
    json.number("leaving_proxy_pid", view.leaving_proxy_pid);
    json.member("last_upgrade_error", view.last_upgrade);
    json.list("listeners", view.listeners);
    add_all(json, "pools", view.pools);
    json.close('}');
    return json.take() + "\n";
}

}  // namespace edgeproxy::master
