// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "proxy/connection.hpp"
#include "proxy/http2_clock.hpp"
#include "proxy/http2_exchange.hpp"
#include "proxy/http2_outlet.hpp"

namespace edgeproxy::proxy {

/// One client's HTTP/2 connection while it is served: one coroutine reads and feeds the session, one a stream answers,
/// and what they have to say gathers in one buffer that leaves at the end of the loop's turn.
///
/// The session's events only take note; streams begin, and wake, once the session has returned. What waits for the
/// client is bounded (Http2Outlet); meanwhile nothing more is put out and the streams wait. Holds no buffer while idle.
/// One reactor thread.
class Http2Connection final : http::Http2Events, Connection::Server, Http2Outlet::Source, io::Timer {
 public:
    static constexpr std::size_t read_budget = 64 * 1024;  ///< bytes read in a turn
    /// What new streams of a wasteful client wait before they begin.
    static constexpr io::Duration strained_delay = std::chrono::milliseconds(100);

    explicit Http2Connection(Connection& connection);
    ~Http2Connection();

    /// Serves until either side ends it; every stream's coroutine has ended then.
    io::Task<void> run();

    Connection& connection() const { return connection_; }
    Lane& lane() const { return connection_.lane(); }
    io::Reactor& reactor() const { return connection_.lane().reactor; }
    /// Of heads. As the client was told, whatever the listener's are by now; they live as long as the session.
    const http::Limits& limits() const { return session_.limits(); }
    const config::ListenerTimeouts& timeouts() const { return connection_.listener().timeouts; }
    http::Http2Session& session() { return session_; }
    MinRate body_rate() const { return proxy::body_rate(connection_.listener().limits.body_rate); }
    MinRate reader_rate() const { return response_rate(connection_.listener().limits.response_rate); }

    /// The session has something to say: it goes into the output now and to the client soon.
    void push() { outlet_.push(); }
    /// An exchange is being destroyed.
    void left(Http2Exchange& exchange);
    /// An exchange waits for the client to read ...
    void stream_waits();
    /// ... gets something through ...
    void stream_moves();
    /// ... and waits no more.
    void stream_goes_on() { --waiting_; }
    /// The output as a whole waits for the client, so no stream of it is slow by itself.
    bool backed_up() const { return outlet_.flushing(); }
    admin::Http2Cells& cells() const { return lane().cells->http2(); }
    /// A stream of its client's that was given up for it: counts that.
    void too_slow(admin::SlowStream reason);

 private:
    http::Http2Stream* opened(std::int32_t id) override;
    bool more_memory(http::Http2Stream& stream) override { return of(stream).enlarge_head(); }
    void head_done(http::Http2Stream& stream, http::errc error) override;
    bool data(http::Http2Stream& stream, std::string_view bytes) override { return of(stream).take(bytes); }
    void input_ended(http::Http2Stream& stream) override { of(stream).wake_reader(); }
    void output_taken(http::Http2Stream& stream) override { of(stream).wake_writer(); }
    void closed(http::Http2Stream& stream) override;
    void malformed(http::errc error) override { lane().cells->count_malformed(error); }
    void wasted(http::Glitch glitch, std::uint32_t times) override { cells().waste(glitch, times); }
    bool drain_asked() override;
    bool end_asked() override;
    std::size_t held() const override;
    void list_streams(std::vector<Holding>& holdings) override;
    void cut_stream(Exchange& stream) override;
    std::size_t write(std::span<char> out) override { return session_.write(out); }
    bool wants_room() const override { return session_.wants_room(); }
    void waits() override;
    void sent(std::size_t bytes, const io::error_code& error) override;
    void moved() override;
    void expired(io::TimePoint now) override;

    static Http2Exchange& of(http::Http2Stream& stream) { return static_cast<Http2Exchange&>(stream); }
    void set_deadline();
    void read_timed_out();
    bool act(Http2Clock::Due due);
    void end_for(admin::Http2End why, http::Http2Code code);
    void break_off(admin::Http2End why);
    void ended_by(admin::Http2End why);
    void count_end();
    void wake_at_next() { reactor().wheel().schedule(*this, clock_.next(reactor().now())); }
    io::Task<io::error_code> read_available();
    void start_streams();
    void begin_end(admin::Http2End why);
    void break_off_streams();
    io::Task<void> linger();

    Connection& connection_;
    http::Http2Session session_;
    Http2Clock clock_;
    Http2Outlet outlet_;
    Http2Exchange* exchanges_ = nullptr;
    unsigned open_ = 0;
    unsigned waiting_ = 0;  ///< of these, for the client to read
    std::uint64_t served_ = 0;
    std::vector<Http2Exchange*> ready_;  ///< owned: their heads are complete, they were not started yet; null = it was
    io::Event empty_;                    ///< no exchange is left
    bool worn_ = false;                  ///< it has had its share of requests
    bool ending_ = false;                ///< it was told that it will end
    bool much_ = false;                  ///< the last read filled its buffer
    bool lingering_ = false;             ///< everything is said
    admin::Http2End end_ = admin::Http2End::client;
    io::TimePoint idle_since_;
    io::TimePoint head_since_ = io::never;
};

}  // namespace edgeproxy::proxy
