// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fcntl.h>

#include "upstream/control/message.hpp"

namespace edgeproxy::control {

inline io::UniqueFd some_fd() {
    return io::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

/// One message of every kind, every field set to something that is not its default.
inline std::vector<Message> samples() {
    std::vector<Message> all;
    all.emplace_back(Hello{version, 7, 4121, 1700000000});
    all.emplace_back(LogFiles{some_fd(), {}});
    Listeners listeners;
    listeners.sockets.push_back({3, "https", {config::Address::Kind::tcp, "::1", 443}, some_fd()});
    listeners.sockets.push_back({4, metrics_listener, {config::Address::Kind::unix_path, "/run/m.sock", 0}, some_fd()});
    listeners.last = false;
    all.emplace_back(std::move(listeners));
    all.emplace_back(KeyMaterial{{2, 3}, "/etc/a.crt", some_fd(), some_fd(), some_fd(), {}, some_fd(), some_fd()});
    all.emplace_back(ConfigMessage{9, some_fd()});
    all.emplace_back(
        WorkerUp{"app", 1, 12, 9, 4125, {config::Address::Kind::unix_path, "/run/w12.sock", 0}, true, true});
    all.emplace_back(WorkerDrain{12, Milliseconds(30000), DrainReason::health});
    all.emplace_back(WorkerGone{12, "signal 9 (SIGKILL)"});
    all.emplace_back(PoolStatus{"app", PoolState::stopped, Milliseconds(500), "exit 3", {"one", "", "three"}});
    all.emplace_back(WorkerUsage{"app", 1, 812, 33, -5, {1, 2, 3, 4, 5, 6}});
    all.emplace_back(DrainAll{Milliseconds(1), Milliseconds(2), true});
    all.emplace_back(ListenersClosed{});
    all.emplace_back(Ping{3});
    all.emplace_back(KeysChanged{4, 1, {{0, 9}, {1, 2}}});
    all.emplace_back(ConfigResult{9, true, "e"});
    all.emplace_back(KeysResult{4, {{{1, 5}, "the key does not fit"}}, {"one", "two"}});
    all.emplace_back(Ready{9});
    all.emplace_back(WorkerReady{12, 200});
    all.emplace_back(StartRejected{12, "status 500"});
    all.emplace_back(WorkerDrained{12, 4});
    all.emplace_back(Suspect{12});
    all.emplace_back(Resumed{12});
    all.emplace_back(Hung{12});
    all.emplace_back(Unhealthy{12, "timeout"});
    all.emplace_back(Healthy{12});
    all.emplace_back(Stats{{{12, 100, 5}, {13, 7, 0}}, {{"app", 100, 2000, 3}}});
    all.emplace_back(Drained{6});
    all.emplace_back(Pong{3});
    all.emplace_back(Commit{10});
    all.emplace_back(Forget{10});
    all.emplace_back(MasterStatus{
        {1, 2, 3}, false, 1700000001, {1, 2, 3, 4, 5}, {{"app", 3, 1, 8, true, {1, 2, 3, 4, 5}}}, {6, 7, 8}});
    all.emplace_back(EndpointRest{"app", "app-1", true});
    all.emplace_back(Committed{10});
    all.emplace_back(ListenerDrained{3});
    all.emplace_back(
        EndpointsSeen{{{"far", "api.example:80", "10.0.0.1:80", "ejected", 100, 5}, {"far", "b", "c", "ready", 0, 0}}});
    return all;
}

}  // namespace edgeproxy::control
