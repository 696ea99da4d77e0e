// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/resource.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/log.hpp"
#include "upstream/control/exit_code.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/key_watch.hpp"
#include "upstream/master/listen.hpp"
#include "upstream/master/process.hpp"
#include "upstream/master/runtime_dir.hpp"

namespace edgeproxy::master {

using control::ExitCode;

/// Everything that must be had before anything is started: users, directory, sockets, keys. Got once; kept while we
/// run.
struct Resources {
    std::unique_ptr<RuntimeDir> runtime_dir;  ///< null: not to be had, and not needed
    std::vector<ListenSocket> sockets;
    std::uint64_t last_socket = 0;                           ///< id of the newest
    CertificateStock keys;                                   ///< of what listeners serve
    std::vector<CertificateFiles> endpoint_keys;             ///< as `Config::endpoint_files`
    std::optional<Identity> proxy;                           ///< empty = as we are
    std::map<std::string, std::optional<Identity>> workers;  ///< by pool

    /// What a service manager passed and no listener has taken yet.
    InheritedSockets inherited;

    /// Empty on failure: logged with its remedy, `exit_code` says how to end. Warnings are logged. `runs`
    /// is what we are called with (MasterOptions).
    static std::optional<Resources> acquire(const config::Config& config, const std::string& runs, config::Log& log,
                                            int& exit_code);

    /// Fills in `proxy` and `workers`. False with one sentence in `error`.
    bool find_users(const config::Config& config, std::string& error);

    /// What another configuration needs, for a reload: sockets of addresses that we listen on already are copies of
    /// ours with the same id, everything else is made now. `runtime_dir` stays with us. Empty on failure, with one
    /// sentence in `error`; nothing is left behind then.
    std::optional<Resources> renew(const config::Config& config, std::string& error) const;
    /// Those of our sockets that `other` does not have.
    std::vector<ListenSocket> take_missing_in(const Resources& other);

    /// Messages with copies of the listening sockets, in chunks.
    std::vector<control::Listeners> listeners() const;
    std::vector<control::KeyMaterial> key_material() const;
    /// The same of one certificate, with copies of these files.
    static control::KeyMaterial key_material(control::KeyId id, const CertificateFiles& files);
};

/// Opens a log file for appending; `path` may be "stdout" or "stderr". Empty on failure (errno).
io::UniqueFd open_log(const std::string& path);
/// True if a log output is a file, not a standard stream.
bool is_log_file(const std::string& output);

}  // namespace edgeproxy::master
