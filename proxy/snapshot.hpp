// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "proxy/admin/names.hpp"
#include "proxy/http/limits.hpp"
#include "proxy/rewrite.hpp"
#include "proxy/router.hpp"
#include "tls/context.hpp"
#include "upstream/pool.hpp"

namespace edgeproxy::proxy {

/// What people are told about a pool that cannot serve: written by the control thread, read for error pages. Any
/// thread.
class PoolNotes {
 public:
    struct Note {
        std::string reason;
        std::vector<std::string> last_lines;
        unsigned retry_after = 1;  ///< seconds
    };
    void set(Note note) {
        const std::lock_guard lock(mutex_);
        note_ = std::move(note);
    }
    Note get() const {
        const std::lock_guard lock(mutex_);
        return note_;
    }

 private:
    mutable std::mutex mutex_;
    Note note_;
};

/// The certificates that listeners serve, as `Config::tls_sets` has them; null where no listener uses them.
using TlsSets = std::vector<std::shared_ptr<const tls::Identities>>;

/// A route with everything that serving it needs, looked up once.
struct RoutePlan {
    const config::Route* route = nullptr;
    std::size_t index = 0, pool_index = 0;      ///< of their counters (admin::Registry)
    std::string_view name, pool_name;           ///< live as long as the program
    const config::Pool* pool_config = nullptr;  ///< null for routes without a pool
    upstream::Pool* pool = nullptr;
    const PoolNotes* notes = nullptr;
    std::atomic<std::uint32_t>* tunnels = nullptr;  ///< open on this route, on every reactor
    RewriteRules rules;
};

/// A listener with everything that its connections need.
struct ListenerPlan {
    const config::Listener* listener = nullptr;
    std::size_t index = 0;  ///< of its counters (admin::Registry)
    std::string_view name;  ///< lives as long as the program
    http::Limits limits;
    const tls::Context* context = nullptr;        ///< null for plain
    const tls::Identities* identities = nullptr;  ///< with `context`: what it serves
    std::size_t tls_set = 0;                      ///< with `context`: in the identities of the same snapshot
    std::string hsts;                             ///< value of Strict-Transport-Security; empty = off
};

/// One configuration, ready to serve: immutable, shared by every reactor. Pools and their notes live outside and
/// longer.
///
/// A reload makes another one beside it. Each reactor then follows by message: its lane, its listeners and its
/// connections go over to the new one at once, while an exchange keeps the one that it began with to its end (a tunnel
/// lets go of it).
struct Snapshot {
    explicit Snapshot(std::shared_ptr<const config::Config> from) : config(std::move(from)), router(config->routes) {}

    std::shared_ptr<const config::Config> config;
    Router router;
    std::vector<RoutePlan> routes;
    std::vector<ListenerPlan> listeners;
    std::vector<std::shared_ptr<const tls::Context>> contexts;
    std::shared_ptr<const TlsSets> identities;  ///< null when no listener has TLS

    /// The listener whose counters have that index, or null.
    const ListenerPlan* find_listener(std::size_t index) const {
        for (const ListenerPlan& listener : listeners) {
            if (listener.index == index) return &listener;
        }
        return nullptr;
    }
};

/// One lane's hold on a snapshot, counted without atomics. Made by the control thread; from its first use on, touched
/// by one reactor only. When the last reference goes, `give_back` is called there and carries the snapshot to where it
/// may be destroyed: the control thread.
class SnapshotRef {
 public:
    using GiveBack = std::function<void(std::shared_ptr<const Snapshot>)>;

    SnapshotRef() = default;
    explicit SnapshotRef(std::shared_ptr<const Snapshot> snapshot, GiveBack give_back = {})
        : hold_(new Hold{std::move(snapshot), std::move(give_back), 1}) {}
    SnapshotRef(const SnapshotRef& other) : hold_(other.hold_) {
        if (hold_ != nullptr) ++hold_->users;
    }
    SnapshotRef(SnapshotRef&& other) noexcept : hold_(std::exchange(other.hold_, nullptr)) {}
    SnapshotRef& operator=(SnapshotRef other) noexcept {
        std::swap(hold_, other.hold_);
        return *this;
    }
    ~SnapshotRef() { reset(); }

    void reset() {
        Hold* const hold = std::exchange(hold_, nullptr);
        if (hold == nullptr || --hold->users > 0) return;
        const std::unique_ptr<Hold> last(hold);
        if (last->give_back) last->give_back(std::move(last->snapshot));
    }
    explicit operator bool() const { return hold_ != nullptr; }
    const Snapshot& operator*() const { return *hold_->snapshot; }
    const Snapshot* operator->() const { return hold_->snapshot.get(); }

 private:
    struct Hold {
        std::shared_ptr<const Snapshot> snapshot;
        GiveBack give_back;
        std::size_t users;
    };
    Hold* hold_ = nullptr;
};

/// What a snapshot is made of besides the configuration; all of it outlives the snapshot.
struct SnapshotParts {
    admin::Registry& registry;
    std::shared_ptr<const TlsSets> identities;  ///< null when no listener has TLS
    std::function<upstream::Pool*(const std::string&)> find_pool;
    std::function<const PoolNotes*(const std::string&)> find_notes;
};

/// Every pool that a route names must be there.
std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const config::Config> config, const SnapshotParts& parts);

/// The same with other certificates.
std::shared_ptr<const Snapshot> with_identities(const Snapshot& from, std::shared_ptr<const TlsSets> identities);

}  // namespace edgeproxy::proxy
