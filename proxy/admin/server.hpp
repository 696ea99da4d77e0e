// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/readiness.hpp"
#include "tls/io/fd.hpp"

namespace boost::asio {
class io_context;
}

namespace edgeproxy::admin {

/// Where the server gets its answers from. Called on the control thread; an exception becomes 500.
struct Answers {
    std::string metrics_path = "/metrics";
    /// Names besides `localhost` and IP addresses that Host may hold (a page of another site that resolves to us is
    /// refused: DNS rebinding).
    std::vector<std::string> hosts;
    std::function<std::string()> metrics;  ///< `Metrics::scrape`
    std::function<bool()> live;            ///< `loops_turn`
    std::function<Readiness()> readiness;  ///< `judge`
    std::function<std::string()> status;   ///< JSON of `/api/v1/status`; not set = 404
};

/// The bounds of the server.
struct ServerLimits {
    std::size_t max_connections = 64;  ///< beyond, who asks nothing for longest is closed, or else the newcomer
    std::chrono::milliseconds longest_wait{10'000};  ///< for a request head, and for an answer to be taken
    std::size_t max_head = 8 * 1024;                 ///< bytes of a request head; 431 beyond
};

/// Why a request to the metrics listener was refused: the label of `edgeproxy_admin_requests_refused_total`.
enum class AdminRefusal : std::uint8_t {
    method,     ///< 405: only GET and HEAD
    host,       ///< 400, 403: none, several, or the name of another site (DNS rebinding)
    malformed,  ///< 400, 431
    not_found,  ///< 404
    count_
};
inline constexpr std::size_t admin_refusals = static_cast<std::size_t>(AdminRefusal::count_);
std::string_view word(AdminRefusal reason);
using AdminRefusals = std::array<std::uint64_t, admin_refusals>;

/// The HTTP server of the metrics listener: `/metrics`, `/livez`, `/readyz[?verbose]`, `/api/v1/status`. Only reads:
/// GET and HEAD, anything else is 405, other paths 404.
///
/// Lives on the control thread's io_context, beside the reactors, never in them; so it answers while they are busy.
/// Every call on that thread.
class Server {
 public:
    /// `context` must outlive the server.
    Server(boost::asio::io_context& context, Answers answers, const ServerLimits& limits = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Accepts on `listening`, an already listening TCP or unix socket. Throws boost::system::system_error if it is
    /// none.
    void listen(io::UniqueFd listening);
    /// Other answers from now on (reload).
    void set_answers(Answers answers);
    std::size_t connections() const;
    /// Requests refused so far, by reason.
    const AdminRefusals& refused() const;
    /// Accepts nobody any more; who is connected gets an answer.
    void leave();
    /// Closes listeners and connections. Also what the destructor does.
    void stop();

 private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace edgeproxy::admin
