// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string_view>

#include "config/config.hpp"
#include "proxy/http/http2_client_session.hpp"
#include "proxy/http2_outlet.hpp"
#include "upstream/lease.hpp"
#include "upstream/shared.hpp"

namespace edgeproxy::proxy {

class Http2Client;
struct Lane;

/// One HTTP/2 connection to an endpoint, shared by the requests of one reactor: one coroutine reads and feeds the
/// session, the requests' own coroutines do the rest.
///
/// Owned by its coroutine: it lives until it has ended and the last request has left it. In the list of its endpoint
/// from its first SETTINGS until it is going away, silent, worn or idle for `keepalive.idle_timeout`.
class Http2Upstream final : public upstream::SharedConnection, http::Http2ClientEvents, Http2Outlet::Source, io::Timer {
 public:
    static constexpr std::size_t read_budget = 64 * 1024;                    ///< bytes read in a turn
    static constexpr io::Duration settings_time = std::chrono::seconds(10);  ///< to acknowledge our SETTINGS
    static constexpr io::Duration silence = std::chrono::seconds(30);        ///< with requests open; then a PING
    static constexpr io::Duration ping_time = std::chrono::seconds(10);      ///< to answer it
    /// Between PINGs of one long silence: gRPC servers end connections that ask more often.
    static constexpr io::Duration ping_pause = std::chrono::seconds(330);

    /// Keeps it alive while nothing is asked yet.
    class Hold {
     public:
        ~Hold() { connection_.let_go(); }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        Http2Upstream& operator*() const { return connection_; }
        Http2Upstream* operator->() const { return &connection_; }

     private:
        friend class Http2Upstream;
        /// It has been counted.
        explicit Hold(Http2Upstream& connection) : connection_(connection) {}
        Http2Upstream& connection_;
    };

    /// Begins on a fresh connection.
    static Hold start(Lane& lane, std::unique_ptr<upstream::UpstreamConnection> connection, const config::Pool& pool);
    ~Http2Upstream();

    /// Until the endpoint's first SETTINGS: only then a request may begin. One waiter, who holds it.
    /// errors   no_http2 (it said something else, or closed), connect_timeout, cancelled
    io::Task<upstream::Result<void>> greeted(io::TimePoint deadline);

    bool has_room() const override;
    void retire() override;

    // For its requests.

    io::Reactor& reactor() const { return reactor_; }
    http::Http2ClientSession& session() { return session_; }
    std::string_view scheme() const { return connection_->stream().is_tls() ? "https" : "http"; }
    void push() { outlet_.push(); }
    void joined(Http2Client& client);
    void left(Http2Client& client);
    /// A request on it timed out: unless something has come lately (in the later half of the time since `asked`) it
    /// gets no more before it has answered a PING.
    void doubt(io::TimePoint asked);
    /// Nothing comes from it any more.
    bool over() const { return over_; }
    /// It ended in order, by FIN.
    bool ended_in_order() const { return in_order_; }
    /// Requests that it has had.
    std::uint64_t served() const { return served_; }

 private:
    Http2Upstream(Lane& lane, std::unique_ptr<upstream::UpstreamConnection> connection, const config::Pool& pool);
    static io::Task<void> live(std::unique_ptr<Http2Upstream> self, io::Task<void> life);

    bool more_memory(http::Http2ClientStream& stream) override;
    void head_done(http::Http2ClientStream& stream) override;
    bool data(http::Http2ClientStream& stream, std::string_view bytes) override;
    void input_ended(http::Http2ClientStream& stream) override;
    void output_taken(http::Http2ClientStream& stream) override;
    void closed(http::Http2ClientStream& stream) override;
    void pong() override;
    std::size_t write(std::span<char> out) override { return session_.write(out); }
    bool wants_room() const override { return session_.wants_room(); }
    void moved() override;
    void expired(io::TimePoint now) override;

    io::Task<void> run();
    io::Task<io::error_code> read_available();
    void end_requests();
    void let_go();
    void end_if_idle();
    io::TimePoint due() const;
    void arm();

    Lane& lane_;
    io::Reactor& reactor_;
    std::unique_ptr<upstream::UpstreamConnection> connection_;
    const io::Duration idle_timeout_;  ///< zero = ends with its last request
    http::Http2ClientSession session_;
    Http2Outlet outlet_;
    Http2Client* clients_ = nullptr;
    unsigned open_ = 0, holds_ = 0;
    std::uint64_t served_ = 0;
    io::Event greeted_, empty_;
    io::TimePoint started_, last_read_, idle_since_, pinged_at_, armed_ = io::never;
    bool much_ = false;      ///< the last read filled its buffer
    bool pinging_ = false;   ///< a PING was not answered yet
    bool repeated_ = false;  ///< nothing but its answer came since the last PING
    bool doubtful_ = false, retired_ = false, over_ = false, in_order_ = false;
};

}  // namespace edgeproxy::proxy
