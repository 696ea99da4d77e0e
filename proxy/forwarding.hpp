// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>

#include "proxy/connection.hpp"
#include "proxy/exchange.hpp"
#include "proxy/http1_client.hpp"
#include "proxy/http2_client.hpp"
#include "proxy/local_reply.hpp"
#include "proxy/retry.hpp"
#include "proxy/tunnel.hpp"
#include "proxy/tunnel_rules.hpp"

namespace edgeproxy::proxy {

/// An answer that is no longer than this is gathered before its head goes on: it leaves in one piece, and if the worker
/// dies in the middle of it nobody has seen its half.
inline constexpr std::uint64_t gathered_answer = 8 * 1024;
/// But no longer than this: an answer that trickles goes on as it comes.
inline constexpr io::Duration gathering = std::chrono::milliseconds(100);

/// The state of one exchange on its way: what its coroutines share. Lives in `forward`'s frame.
///
/// forward.cpp gets a place and a connection and decides about another attempt; forward_request.cpp sends the request;
/// forward_answer.cpp relays the answer, or gives one of our own.
class Forwarding final : Exchange::Watcher, upstream::Occupant {
 public:
    Forwarding(Connection& client, Exchange& exchange, const RoutePlan& plan, Workspace& workspace)
        : client_(client),
          lane_(client.lane()),
          exchange_(exchange),
          plan_(plan),
          work_(workspace),
          hsts_(client.plan().hsts),
          answer_(client.lane().answers) {
        exchange_.watch(this);
    }
    ~Forwarding() { exchange_.watch(nullptr); }

    /// Before the first attempt. Why there is none; null = there is.
    const Reason* begin();
    /// One attempt, from a place at an endpoint to the end of the answer or of the tunnel. An error means that nothing
    /// of an answer reached the client.
    io::Task<upstream::Result<void>> attempt();
    /// After an attempt that failed. Why it was the last; null = there is another.
    const Reason* give_up(upstream::errc why);
    io::Task<void> answer_locally(const Reason& why);
    /// Awaitable: the upload, if there is one, has ended. Needs no memory, but gives on its exception.
    auto stop_upload() {
        struct Stop {
            io::Task<upstream::Result<void>>& upload;
            bool await_ready() { return !upload || upload.await_ready(); }
            void await_suspend(std::coroutine_handle<> waiter) noexcept { upload.await_suspend(waiter); }
            void await_resume() {
                if (upload) static_cast<void>(upload.await_resume());
                upload = {};
            }
        };
        cancel_upload();
        return Stop{upload_};
    }

 private:
    const http::Request& request() const { return work_.request; }
    upstream::AdmitHints hints();
    io::Task<upstream::Result<void>> admit_again();
    io::Task<void> back_off();
    upstream::Result<void> enter(upstream::Result<upstream::Admission>& admitted);
    io::Task<upstream::Result<void>> open();
    io::Task<upstream::Result<void>> open_shared(upstream::SharedConnections::Turn& turn, io::TimePoint deadline);
    io::Task<upstream::Result<void>> connect(io::TimePoint deadline);
    bool take_kept();
    /// HTTP/2 may be spoken for this request. A WebSocket always goes over HTTP/1.1.
    bool may_share() const {
        return admission_.endpoint().identity().transport.http != upstream::Transport::Http::one &&
               !request().websocket;
    }
    void use(std::unique_ptr<upstream::UpstreamConnection> connection) {
        endpoint_ = &http1_.emplace(std::move(connection), answer_);
    }
    void use(Http2Upstream& connection) {
        http2_ = std::make_unique<Http2Client>(connection, answer_);
        endpoint_ = http2_.get();
    }
    void drop_endpoint();
    bool is_busy() const;
    /// The worker's place stays taken until it lets go.
    void abandon();
    bool write_head(bool waits);
    /// More of the body follows than was here with the head.
    bool goes_on() const { return !at_hand_.done && body_.kind != http::Body::Kind::none; }
    OutgoingRequest outgoing() {
        return {{head_buffer_.data(), head_size_}, body_, at_hand_.data, at_hand_.done, exchange_.request_trailers()};
    }
    io::Task<upstream::Result<void>> start_upload(bool waits);
    io::Task<upstream::Result<void>> upload();
    void cancel_upload();
    io::Task<upstream::Result<void>> pass_interim();
    upstream::Result<void> judge_answer();
    io::Task<upstream::Result<void>> wait_for_continue();
    io::Task<void> relay();
    io::Task<void> open_tunnel();
    void shed_request();
    bool is_small_answer() {
        const http::Body& body = answer_->response.body;
        return body.kind == http::Body::Kind::length && body.length > 0 && body.length <= gathered_answer &&
               !answer_->response.switching;
    }
    FailedAttempt describe_failure(upstream::errc error) const;
    upstream::errc judge(upstream::errc error);
    bool too_large(std::uint64_t size) const { return plan_.route->max_body > 0 && size > plan_.route->max_body; }
    void start_response_clock();
    /// Of an answer that has begun: the longest gap between two pieces.
    void set_idle_deadline() {
        endpoint_->read_deadline(io::deadline_after(lane_.reactor.now(), plan_.pool_config->timeouts.idle));
    }
    void give_up_connection(upstream::errc error);
    upstream::PoolCells& pool_cells() const { return plan_.pool->cells(lane_.reactor.index()); }
    io::TimePoint precise_now() const { return lane_.reactor.precise_now(); }
    ResponseExtras extras() const { return {lane_.wall.date(), work_.request_id, hsts_}; }

    bool is_pending() const;
    void client_gone() override;
    std::size_t held() const override {
        return answer_.held() + head_buffer_.size() + (endpoint_ ? endpoint_->held() : 0) +
               (tunnel_ ? tunnel_->held() : 0);
    }
    void cut() override;
    bool is_unread(io::TimePoint now, io::Duration patience) const override;
    void go_elsewhere(bool stopped) override;
    void close_tunnel() override;

    Connection& client_;
    Lane& lane_;
    Exchange& exchange_;
    const RoutePlan& plan_;
    Workspace& work_;
    const std::string_view hsts_;  ///< of the exchange's snapshot; a reload may give the connection another one
    AnswerSpace answer_;

    TunnelPlace place_;
    upstream::AdmitCancel admit_cancel_;
    upstream::Admission admission_;
    std::optional<Http1Client> http1_;
    std::unique_ptr<Http2Client> http2_;
    EndpointClient* endpoint_ = nullptr;  ///< one of the two, while there is one
    io::Event* turn_ = nullptr;           ///< while somebody else's connect is waited for
    io::Task<upstream::Result<void>> upload_;
    io::Buffer head_buffer_;  ///< until the head has been sent: another attempt writes its own
    std::size_t head_size_ = 0;
    BodyPiece at_hand_;
    http::Body body_;
    std::uint64_t uploaded_ = 0;
    upstream::EndpointId avoid_ = 0;
    io::TimePoint sent_at_{};
    unsigned tries_ = 1;  ///< connections wanted so far, the present one included
    unsigned replays_ = 0;
    unsigned deaths_ = 0;  ///< of the replays, those after a worker that had read the request
    unsigned hangs_ = 0;   ///< attempts that ended with a worker that hung
    unsigned interim_ = 0;
    std::size_t interim_bytes_ = 0;            ///< of the fields of interim answers
    io::TimePoint refused_since_ = io::never;  ///< the first of the workers that refused in a row did so then
    bool body_started_ = false;                ///< bytes of the body beyond `at_hand_` were taken from the client
    bool uploading_ = false;
    bool too_large_ = false;
    bool stalled_ = false;      ///< the endpoint stopped reading the request body
    bool client_slow_ = false;  ///< the request body stopped coming
    bool client_cut_ = false;   ///< ... ended before its framing said so
    bool cut_ = false;
    bool moved_ = false;          ///< this attempt was ended since its worker does not read
    bool no_descriptor_ = false;  ///< no connection could be made, for a reason of our own
    bool head_overflow_ = false;  ///< the request's head does not fit our buffer once it is rewritten
    bool blameless_ = false;      ///< what failed is no fault of the endpoint
    Tunnel* tunnel_ = nullptr;    ///< while there is one
};

}  // namespace edgeproxy::proxy
