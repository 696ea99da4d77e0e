// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "upstream/master/process.hpp"

namespace edgeproxy::master {

/// Where one incarnation runs, for its command line and its environment.
struct Place {
    std::uint32_t slot = 0;
    config::Address address;  ///< as the worker binds it: the path of `{socket}`, or loopback and port
    int fd = -1;              ///< number of the inherited listening socket in the worker; -1 = none
};

/// The command with its placeholders filled in: {socket} {fd} {port} {host} {index} {pool}; `{{` and unknown ones stay
/// as they are.
std::vector<std::string> worker_arguments(const config::Pool& pool, const Place& place);

/// The whole environment of a worker as "NAME=value", sorted: what we inherited, then ours, then the user's.
///
/// Ours: PORT (tcp), EDGEPROXY_POOL, EDGEPROXY_WORKER (1..n), EDGEPROXY_SOCKET, WEB_CONCURRENCY=1, PYTHONUNBUFFERED=1,
/// PYTHONFAULTHANDLER=1, FORWARDED_ALLOW_IPS=* (unix sockets only, which nobody else reaches), and what hands the
/// server its socket: UVICORN_FD (or _UDS, _HOST and _PORT) with UVICORN_TIMEOUT_KEEP_ALIVE, or GUNICORN_CMD_ARGS, in
/// front of what stood there. Taken away: LISTEN_FDS, LISTEN_PID, NOTIFY_SOCKET and the like, which speak to us.
std::vector<std::string> worker_environment(const config::Pool& pool, const Place& place,
                                            const std::vector<std::string>& inherited);

/// Gives a worker of another user HOME, USER and LOGNAME of that user, unless the pool sets them: in an inherited HOME
/// it could not write. Changes nothing for a number without an entry.
void adopt_account(std::vector<std::string>& environment, const config::Pool& pool, const Identity& identity);

/// What of our environment the proxy gets: it reads bytes from the network, and the secrets that an environment may
/// hold are none of its business. Kept: PATH, locale, time zone, terminal, what libraries and sanitizers are steered
/// by, EDGEPROXY_*.
std::vector<std::string> proxy_environment(const std::vector<std::string>& inherited);

/// The environment of this process.
std::vector<std::string> own_environment();

}  // namespace edgeproxy::master
