// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/system/result.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "upstream/master/control_socket.hpp"
#include "upstream/master/crew.hpp"
#include "upstream/master/listen.hpp"
#include "upstream/master/proxy_process.hpp"
#include "upstream/master/reload.hpp"
#include "upstream/master/resources.hpp"
#include "upstream/master/upgrade.hpp"

namespace edgeproxy::master {

/// Everything that a master hands to the next program in its own process. Descriptors are numbers: they stay open over
/// the exec. Points in time are of the monotonic clock, which goes on.
struct State {
    /// Of the encoding. Rises with every change of it: an older program cannot read it, and says so before the exec.
    static constexpr std::uint32_t version = 2;

    struct Socket {
        std::string name;
        config::Address address, wanted;
        std::uint64_t id = 0;
        int fd = -1;
        bool operator==(const Socket&) const = default;
    };
    /// CertificateFiles: cert, key, ocsp, client_ca, client_crl, password; -1 = none.
    struct Keys {
        std::uint32_t set = 0, index = 0;  ///< of control::KeyId; for endpoints only their order counts
        std::string name;
        std::array<int, 6> files{};
        bool operator==(const Keys&) const = default;
    };

    std::uint32_t control_version = control::version;  ///< that the proxy speaks
    std::string config_text;                           ///< canonical long form, with commands
    std::int64_t started_at = 0;                       ///< seconds since 1970
    std::uint64_t core_soft = 0, core_hard = 0;        ///< the core limit for workers
    control::Incarnation last_incarnation = 0;
    std::uint64_t keys_number = 0;
    bool told_ready = false, told_manager = false;
    std::string unwritten;  ///< of the log

    std::string run_dir;  ///< empty: there is none
    int lock = -1;
    std::vector<Socket> sockets;
    std::uint64_t last_socket = 0;
    std::vector<Keys> keys, endpoint_keys;

    ControlSocket::Memory control;
    Reload::Memory reload;
    Upgrade::Memory upgrade;
    ProxyProcess::Memory proxy;
    std::int32_t guard_pid = -1;
    int guard_pipe = -1;
    std::vector<Crew::Memory> crews;
    /// Pool and endpoint, and since when, in seconds since 1970.
    std::vector<std::pair<std::pair<std::string, std::string>, std::int64_t>> resting;
    std::vector<std::string> late_pools;

    /// Every descriptor in it that is there.
    std::vector<int> descriptors() const;
    bool operator==(const State&) const = default;
};

std::string encode(const State& state);

/// Strict: every byte is used exactly. Else one sentence why this program cannot read it. Touches no descriptor.
struct DecodedState {
    std::optional<State> state;
    std::string error;
};
DecodedState decode_state(std::span<const char> bytes);

/// First thing in the new program: its descriptors are closed in whatever it starts.
void keep_from_children(const State& state);
/// Runtime directory, sockets and keys of the state become `out`'s; the users are still to be found. `runs`:
/// of MasterOptions.
void adopt_resources(const State& state, const std::string& runs, Resources& out);
/// The other way round; the descriptors stay where they are.
void remember_resources(const Resources& resources, State& out);

}  // namespace edgeproxy::master
