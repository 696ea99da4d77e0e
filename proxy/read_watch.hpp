// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>

#include "upstream/roster.hpp"

namespace boost::asio {
class io_context;
}

namespace edgeproxy::proxy {

/// Finds out whether workers read, by bytes of its own on a connection of its own: when a suspect worker reads again,
/// and whether one that has nothing to do still would. Only for workers on unix sockets; see upstream::unread_bytes.
///
/// All calls on the control thread, which runs `context`. Callbacks come from there too.
class ReadWatch {
 public:
    static constexpr std::chrono::milliseconds look_interval{50};

    explicit ReadWatch(boost::asio::io_context& context);
    ~ReadWatch();
    ReadWatch(const ReadWatch&) = delete;
    ReadWatch& operator=(const ReadWatch&) = delete;

    /// Sends a worker that does not read one request for `path`, and calls `read` once some of it was read. Ends
    /// without a call at `forget`. Nothing while it is being watched already.
    void await(const upstream::EndpointIdentity& worker, const std::string& path, std::function<void()> read);
    /// Sends the first bytes of a request to every worker of the pool that has nothing to do, each `health.interval`,
    /// and closes when they were read: no request ever comes of it. What is unread after `hang.suspect_after` is told
    /// to the roster. Only to servers whose loop goes on meanwhile, so not to sync workers and unknown programs. Call
    /// it every 250 ms or so. `roster` must live until `stop`.
    void touch(upstream::Roster& roster);
    /// The incarnation is gone.
    void forget(control::Incarnation incarnation);
    /// Ends everything.
    void stop();

 private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace edgeproxy::proxy
