// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "upstream/roster.hpp"

namespace boost::asio {
class io_context;
}

namespace edgeproxy::proxy {

/// How a probe ended.
struct ProbeResult {
    enum class Outcome : std::uint8_t {
        answered,  ///< a complete HTTP answer of `status`
        refused,   ///< nobody listens
        failed     ///< no complete answer
    };
    Outcome outcome = Outcome::failed;
    unsigned status = 0;
    std::string why;  ///< for people, when not answered
};

/// Whether an answer of this status passes: within `expect`, or any when no range is set.
bool passes(const config::Health& health, unsigned status);

/// Asks endpoints whether they serve, from the control thread: readiness of new workers (one probe parked in the
/// backlog of their socket, no polling) and active health of everything that has a health path. Never touches a
/// reactor.
///
/// All calls on the control thread, which runs `context`. Callbacks come from there too.
class Prober {
 public:
    static constexpr std::chrono::milliseconds bind_poll{
        50};  ///< between connects to a worker that binds its address itself
    static constexpr std::chrono::milliseconds start_interval{250};  ///< after an answer that did not pass

    struct Reports {
        std::function<void(control::Incarnation, unsigned status)> ready;
        std::function<void(control::Incarnation, std::string why)> rejected;
    };

    Prober(boost::asio::io_context& context, Reports reports);
    ~Prober();
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;

    /// Watches a fresh worker until it answers or `forget` is called.
    void await_ready(const control::WorkerUp& up, const config::Pool& pool);
    /// The incarnation is gone: whatever is under way for it ends without a report.
    void forget(control::Incarnation incarnation);
    /// Starts the health probes that are due at this pool's endpoints. Call it every 250 ms or so. `roster` must live
    /// until `stop`.
    void check(upstream::Roster& roster);
    /// Ends everything.
    void stop();

 private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace edgeproxy::proxy
