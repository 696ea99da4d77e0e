// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/worker_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

namespace edgeproxy::master {
namespace {

using Variables = std::map<std::string, std::string>;

// Above the time for which the proxy keeps idle connections, so that it is always the proxy who closes first.
constexpr const char* uvicorn_keep_alive = "75";

std::string bind_target(const Place& place) {
    if (place.fd >= 0) return fmt::format("fd://{}", place.fd);
    if (place.address.is_unix()) return "unix:" + place.address.host;
    return fmt::format("{}:{}", place.address.host, place.address.port);
}

void hand_over(const config::Pool& pool, const Place& place, Variables& set) {
    if (pool.command.kind == config::Kind::uvicorn) {
        set["UVICORN_TIMEOUT_KEEP_ALIVE"] = uvicorn_keep_alive;
        if (place.fd >= 0) {
            set["UVICORN_FD"] = std::to_string(place.fd);
        } else if (place.address.is_unix()) {
            set["UVICORN_UDS"] = place.address.host;
        } else {
            set["UVICORN_HOST"] = place.address.host;
            set["UVICORN_PORT"] = std::to_string(place.address.port);
        }
    }
    if (pool.command.kind == config::Kind::gunicorn) {
        // `--timeout 0`: the health of a worker is our matter; its own clock would kill long requests.
        std::string& arguments = set["GUNICORN_CMD_ARGS"];
        const auto own = pool.command.environment.find("GUNICORN_CMD_ARGS");
        if (own != pool.command.environment.end()) arguments = own->second;
        arguments =
            fmt::format("--bind {} --timeout 0{}{}", bind_target(place), arguments.empty() ? "" : " ", arguments);
    }
}

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& values) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        bool found = false;
        for (const auto& [name, value] : values) {
            if (text.compare(at, name.size(), name) != 0) continue;
            out += value;
            at += name.size();
            found = true;
            break;
        }
        if (!found) out += text[at++];
    }
    return out;
}

}  // namespace

std::vector<std::string> worker_arguments(const config::Pool& pool, const Place& place) {
    const std::vector<std::pair<std::string, std::string>> values{
        {"{socket}", place.address.is_unix() ? place.address.host : ""},
        {"{fd}", place.fd >= 0 ? std::to_string(place.fd) : ""},
        {"{port}", place.address.is_unix() ? "" : std::to_string(place.address.port)},
        {"{host}", place.address.is_unix() ? "" : place.address.host},
        {"{index}", std::to_string(place.slot + 1)},
        {"{pool}", pool.name},
    };
    std::vector<std::string> out;
    for (const std::string& word : pool.command.argv) out.push_back(replaced(word, values));
    return out;
}

std::vector<std::string> worker_environment(const config::Pool& pool, const Place& place,
                                            const std::vector<std::string>& inherited) {
    Variables set;
    for (const std::string& entry : inherited) {
        const std::size_t equals = entry.find('=');
        if (equals != std::string::npos && equals > 0) set[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID",
                             "WATCHDOG_USEC", "PORT", "UVICORN_FD", "UVICORN_UDS", "FORWARDED_ALLOW_IPS"}) {
        set.erase(name);
    }
    const bool is_unix = place.address.is_unix();
    set["EDGEPROXY_POOL"] = pool.name;
    set["EDGEPROXY_WORKER"] = std::to_string(place.slot + 1);
    set["EDGEPROXY_SOCKET"] = is_unix ? place.address.host : place.address.to_string();
    set["WEB_CONCURRENCY"] = "1";
    set["PYTHONUNBUFFERED"] = "1";
    set["PYTHONFAULTHANDLER"] = "1";
    if (is_unix) set["FORWARDED_ALLOW_IPS"] = "*";
    if (!is_unix) set["PORT"] = std::to_string(place.address.port);
    hand_over(pool, place, set);
    for (const auto& [name, value] : pool.command.environment) {
        if (name != "GUNICORN_CMD_ARGS" || pool.command.kind != config::Kind::gunicorn) set[name] = value;
    }
    std::vector<std::string> out;
    for (const auto& [name, value] : set) out.push_back(name + "=" + value);
    return out;
}

void adopt_account(std::vector<std::string>& environment, const config::Pool& pool, const Identity& identity) {
    if (identity.name.empty()) return;
    const std::array<std::pair<const char*, const std::string*>, 3> account{
        {{"HOME", &identity.home}, {"LOGNAME", &identity.name}, {"USER", &identity.name}}};
    for (const auto& [name, value] : account) {
        if (pool.command.environment.count(name) != 0) continue;
        const std::string start = std::string(name) + "=";
        std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(start); });
        environment.push_back(start + *value);
    }
}

std::vector<std::string> proxy_environment(const std::vector<std::string>& inherited) {
    static constexpr std::array names{"PATH", "HOME",      "USER",     "LANG",   "TZ",
                                      "TERM", "COLORTERM", "NO_COLOR", "TMPDIR", "HOSTNAME"};
    static constexpr std::array starts{"EDGEPROXY_", "LC_",  "LD_",     "OPENSSL_",
                                       "SSL_CERT_",  "XDG_", "MALLOC_", "GLIBC_"};
    std::vector<std::string> out;
    for (const std::string& entry : inherited) {
        const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
        const bool kept =
            std::any_of(names.begin(), names.end(), [&](auto known) { return name == known; }) ||
            std::any_of(starts.begin(), starts.end(), [&](auto start) { return name.starts_with(start); }) ||
            name.ends_with("SAN_OPTIONS");
        if (kept) out.push_back(entry);
    }
    return out;
}

std::vector<std::string> own_environment() {
    std::vector<std::string> out;
    for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
    return out;
}

}  // namespace edgeproxy::master
