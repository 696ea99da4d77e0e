// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/resources.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "upstream/control/channel.hpp"
#include "upstream/master/privilege.hpp"
#include "upstream/master/worker_command.hpp"

namespace edgeproxy::master {
namespace {

io::UniqueFd copy_of(const io::UniqueFd& fd) {
    if (!fd) return {};
    return io::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

// Looks up a user and checks that we may become it.
bool resolve(const std::string& user, const std::string& group, const std::string& key, std::optional<Identity>& out,
             std::string& error) {
    out = find_identity(user, group, error);
    if (!error.empty()) {
        error = key + ": " + error;
        return false;
    }
    const bool same = !out || (out->uid == ::geteuid() && out->gid == ::getegid());
    if (same && ::geteuid() != 0) out.reset();
    if (same || can_switch_user()) return true;
    error = fmt::format("{}: only root (or CAP_SETUID and CAP_SETGID) may switch to another user", key);
    return false;
}

bool resolve_all(const config::Config& config, Resources& out, std::string& error) {
    if (!resolve(config.server.user, config.server.group, "server.user", out.proxy, error)) return false;
    for (const config::Pool& pool : config.pools) {
        if (!pool.managed) continue;
        const bool own = !pool.command.user.empty() || !pool.command.group.empty();
        const std::string& user = own ? pool.command.user : config.server.user;
        const std::string& group = own ? pool.command.group : config.server.group;
        if (!resolve(user, group, "pools." + pool.name + ".user", out.workers[pool.name], error)) return false;
    }
    return true;
}

// What TLS towards endpoints needs. Roots have no key: their own text stands in its place, and nobody reads it.
bool read_endpoint_keys(const config::Config& config, Resources& out, std::string& error) {
    for (const config::KeyFiles& one : config.endpoint_files()) {
        auto files = read_certificate_files({one.chain, one.key.empty() ? one.chain : one.key}, error);
        if (!files) return false;
        out.endpoint_keys.push_back(std::move(*files));
    }
    return true;
}

// A log that cannot be written is told now, on standard error, and not missed later.
bool try_logs(const config::Config& config, std::string& error) {
    std::vector<std::string> outputs{config.logging.output};
    if (config.logging.access.enabled) outputs.push_back(config.logging.access.output);
    for (const std::string& output : outputs) {
        if (!is_log_file(output) || open_log(output)) continue;
        error = fmt::format("cannot write the log {}: {}", output, std::strerror(errno));
        return false;
    }
    return true;
}

// A socket that nobody serves would take connections into a backlog without end.
void tell_unused(InheritedSockets& inherited, config::Log& log) {
    for (const std::string& name : inherited.unclaimed()) {
        log.warn("socket_unused",
                 fmt::format("the socket {} was passed to us, but no listener has the address fd:{}; it is "
                             "closed",
                             name, name));
        inherited.claim(name);
    }
    for (const std::string& name : inherited.refused())
        log.warn("socket_unusable", fmt::format("what was passed to us as {} is no listening stream socket", name));
}

bool is_managed(const config::Pool& pool) {
    return pool.managed;
}

}  // namespace

bool Resources::find_users(const config::Config& config, std::string& error) {
    return resolve_all(config, *this, error);
}

std::optional<Resources> Resources::acquire(const config::Config& config, const std::string& runs, config::Log& log,
                                            int& exit_code) {
    Resources out;
    std::string error;
    exit_code = ExitCode::cannot_bind;
    if (!resolve_all(config, out, error)) {
        log.error("user_missing", error);
        return std::nullopt;
    }
    if (!try_logs(config, error)) {
        log.error("log_unwritable", error);
        return std::nullopt;
    }
    const bool managed = std::any_of(config.pools.begin(), config.pools.end(), is_managed);
    const bool several_users = out.proxy || std::any_of(out.workers.begin(), out.workers.end(),
                                                        [](const auto& pair) { return pair.second.has_value(); });
    out.runtime_dir = RuntimeDir::take(config.server.runtime_dir, several_users, runs, error);
    if (!out.runtime_dir && managed) {
        log.error("runtime_dir_unusable", error);
        return std::nullopt;
    }
    if (!out.runtime_dir) log.warn("runtime_dir_unusable", error + "; going on without it, since no pool has workers");
    error.clear();
    out.inherited = InheritedSockets::take(own_environment(), ::getpid());
    auto sockets = bind_all(config, out.inherited, error);
    if (!sockets) {
        log.error("cannot_listen", error);
        return std::nullopt;
    }
    out.sockets = std::move(*sockets);
    for (ListenSocket& socket : out.sockets) socket.id = ++out.last_socket;
    tell_unused(out.inherited, log);
    if (!read_certificates(config, out.keys, error) || !read_endpoint_keys(config, out, error)) {
        log.error("key_unreadable", error);
        return std::nullopt;
    }
    exit_code = ExitCode::done;
    return out;
}

namespace {

// The sockets of one address: ours, if we have it, else new ones, noted in `made`.
bool renew_address(const Resources& old, const std::string& name, const config::Address& address, unsigned backlog,
                   Resources& out, std::vector<ListenSocket>& made, std::string& error) {
    bool found = false;
    for (const ListenSocket& socket : old.sockets) {
        if (socket.wanted != address) continue;
        found = true;
        out.sockets.push_back({name, socket.address, copy_of(socket.fd), socket.wanted, socket.id, socket.file});
    }
    if (found) return true;
    auto bound = bind_address(name, address, backlog, error);
    if (!bound) return false;
    for (ListenSocket& socket : *bound) {
        socket.id = ++out.last_socket;
        made.push_back({socket.name, socket.address, {}, socket.wanted, socket.id, socket.file});
        out.sockets.push_back(std::move(socket));
    }
    return true;
}

bool renew_sockets(const Resources& old, const config::Config& config, Resources& out, std::string& error) {
    constexpr unsigned metrics_backlog = 128;
    std::vector<ListenSocket> made;
    bool all = true;
    for (const config::Listener& listener : config.listeners) {
        for (const config::Address& address : listener.addresses)
            all = all && renew_address(old, listener.name, address, listener.backlog, out, made, error);
    }
    if (config.metrics.enabled) {
        all = all &&
              renew_address(old, control::metrics_listener, config.metrics.listen, metrics_backlog, out, made, error);
    }
    if (!all) unlink_paths(made);
    return all;
}

}  // namespace

std::optional<Resources> Resources::renew(const config::Config& config, std::string& error) const {
    Resources out;
    out.last_socket = last_socket;
    const bool managed = std::any_of(config.pools.begin(), config.pools.end(), is_managed);
    if (managed && !runtime_dir) {
        error = "there is no runtime directory for the sockets of workers; restart to add a pool with a command";
        return std::nullopt;
    }
    // Sockets last: they are what others could see.
    if (!resolve_all(config, out, error) || !try_logs(config, error) || !read_certificates(config, out.keys, error) ||
        !read_endpoint_keys(config, out, error) || !renew_sockets(*this, config, out, error))
        return std::nullopt;
    return out;
}

std::vector<ListenSocket> Resources::take_missing_in(const Resources& other) {
    std::vector<ListenSocket> missing;
    for (ListenSocket& socket : sockets) {
        const bool stays = std::any_of(other.sockets.begin(), other.sockets.end(),
                                       [&](const ListenSocket& one) { return one.id == socket.id; });
        if (!stays) missing.push_back(std::move(socket));
    }
    return missing;
}

std::vector<control::Listeners> Resources::listeners() const {
    constexpr std::size_t chunk = 64;  // names and addresses of so many fit one message
    std::vector<control::Listeners> out(1);
    for (const ListenSocket& socket : sockets) {
        if (out.back().sockets.size() == chunk) {
            out.back().last = false;
            out.emplace_back();
        }
        out.back().sockets.push_back({socket.id, socket.name, socket.address, copy_of(socket.fd)});
    }
    return out;
}

std::vector<control::KeyMaterial> Resources::key_material() const {
    std::vector<control::KeyMaterial> out;
    for (const auto& [id, files] : keys) out.push_back(key_material(id, files));
    for (std::uint32_t i = 0; i < endpoint_keys.size(); ++i)
        out.push_back(key_material({control::endpoint_keys, i}, endpoint_keys[i]));
    return out;
}

control::KeyMaterial Resources::key_material(control::KeyId id, const CertificateFiles& files) {
    return {id,
            files.name,
            copy_of(files.cert),
            copy_of(files.key),
            copy_of(files.ocsp),
            copy_of(files.client_ca),
            copy_of(files.client_crl),
            copy_of(files.password)};
}

bool is_log_file(const std::string& output) {
    return !output.empty() && output != "stdout" && output != "stderr";
}

io::UniqueFd open_log(const std::string& path) {
    if (!is_log_file(path))
        return io::UniqueFd(::fcntl(path == "stdout" ? STDOUT_FILENO : STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    return io::UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640));
}

}  // namespace edgeproxy::master
