// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "proxy/admin/access_log.hpp"
#include "proxy/admin/log_thread.hpp"
#include "proxy/admin/log_writer.hpp"
#include "proxy/admin/metrics.hpp"
#include "proxy/lanes.hpp"
#include "proxy/overload.hpp"
#include "tls/tickets.hpp"
#include "upstream/pools.hpp"

namespace edgeproxy::proxy {

/// What the control thread knows of a pool beside its roster.
struct PoolDesk {
    PoolNotes notes;
    admin::StartHistogram starts;
    std::map<control::Incarnation, std::chrono::steady_clock::time_point> starting;
    bool late = false;  ///< it came by a reload and was not ready yet: the program has served without it
};

/// The parts of a proxy process that serves, in the order of who uses whom: the later a member, the earlier it dies.
///
/// Owned by App, looked at by Reports. Control thread only; the lanes have threads of their own.
struct Running {
    io::Clock clock = io::Clock::real();
    config::Log log;
    std::shared_ptr<const config::Config> config;
    std::int64_t started_at = 0;                   ///< of the master, seconds since 1970
    control::MasterStatus master;                  ///< what it counts, as it said last
    std::string config_hash;                       ///< the beginning of the SHA-256 of the canonical long form
    std::unique_ptr<admin::AccessLog> access_log;  ///< there, although it may be off
    std::unique_ptr<admin::LogWriter> log_writer;
    std::unique_ptr<admin::LogThread> log_thread;
    admin::Registry registry;
    std::unique_ptr<tls::TicketKeys> tickets;
    std::shared_ptr<const TlsSets> identities;          ///< what listeners serve
    std::shared_ptr<const Snapshot> snapshot;           ///< what the lanes serve
    std::uint64_t keys_replaced = 0, keys_refused = 0;  ///< certificates that changed on disk
    std::map<std::string, PoolDesk> desks;              ///< by pool
    std::map<std::pair<std::string, std::uint32_t>, control::WorkerUsage> usages;  ///< by pool and slot
    std::unique_ptr<Lanes> lanes;
    std::unique_ptr<Overload> overload;
    std::unique_ptr<upstream::Pools> pools;
    bool serving = false;       ///< there is a configuration, and connections are accepted
    bool draining = false;      ///< not ready any more
    bool doors_closed = false;  ///< nothing is accepted any more
};

}  // namespace edgeproxy::proxy
