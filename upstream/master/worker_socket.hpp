// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "tls/io/fd.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/process.hpp"

namespace edgeproxy::master {

/// Who may reach a worker's socket, where workers, proxy and master are not the same user.
struct SocketOwners {
    std::optional<Identity> worker, proxy;
};

/// The address of one incarnation: a fresh one each time, so that no late request reaches another process.
///
///   fd         <run>/w12/s     bound and listening, made here, inherited by the worker
///              <run>/w12.sock  hard link to it, where the proxy connects: gunicorn unlinks the first name when it
///              stops
///   unix_path  <run>/w12/s     bound by the worker; the proxy connects there
///   tcp        127.0.0.1:PORT  a port that was free a moment ago, bound by the worker
///
/// The directory w12 is 0710: owner the worker's user, group the proxy's. Pool names never appear in paths. Everything
/// is unlinked when the object ends.
class WorkerSocket {
 public:
    static constexpr int backlog = 2048;

    /// `run_dir` of RuntimeDir; not used for tcp. Null on failure, with the reason in `error`.
    static std::unique_ptr<WorkerSocket> make(config::Bind bind, const std::string& run_dir,
                                              control::Incarnation incarnation, const SocketOwners& owners,
                                              std::string& error);
    /// What is left of one, for the next program: addresses, and how far it is.
    struct Memory {
        config::Address address;
        std::string folder, path, link;
        bool held = false, open = false;
        bool operator==(const Memory&) const = default;
    };
    static std::unique_ptr<WorkerSocket> adopt(const Memory& memory);
    Memory memory() const { return {address_, folder_, path_, link_, held_, open_}; }
    ~WorkerSocket();
    WorkerSocket(const WorkerSocket&) = delete;
    WorkerSocket& operator=(const WorkerSocket&) = delete;

    const config::Address& address() const { return address_; }  ///< where the proxy connects
    const std::string& path() const { return path_; }            ///< `{socket}`: where the worker binds; empty for tcp
    int listener() const { return listener_.get(); }             ///< to be inherited; -1 unless `fd`
    bool is_held() const { return held_; }                       ///< it listened before the worker started

    /// After the fork: while a copy of ours is open, connecting to a dead worker would succeed and hang.
    void close_listener() { listener_.reset(); }

    /// For unix_path between different users: gives the proxy the right to connect as soon as the worker has bound the
    /// path. True when there is nothing left to do. Follows no symbolic link.
    bool open_to_proxy(const SocketOwners& owners);

 private:
    WorkerSocket() = default;
    bool make_folder(const SocketOwners& owners, std::string& error);
    bool make_listener(const SocketOwners& owners, std::string& error);
    bool choose_port(std::string& error);

    config::Address address_;
    std::string folder_, path_, link_;
    io::UniqueFd listener_;
    bool held_ = false;
    bool open_ = false;
};

}  // namespace edgeproxy::master
