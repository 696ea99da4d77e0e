// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_connection.hpp"

#include <exception>
#include <optional>

#include "proxy/dispatch.hpp"
#include "proxy/session_heap.hpp"

namespace edgeproxy::proxy {
namespace {

http::Http2Options options_of(const Connection& connection) {
    http::Http2Options options;
    options.max_streams = connection.listener().http2_max_streams;
    options.glitch_burst = connection.listener().http2_glitches;
    options.glitch_rate = connection.listener().http2_glitch_rate;
    options.stream_window = static_cast<std::uint32_t>(connection.listener().http2_window);
    options.connection_window = static_cast<std::uint32_t>(connection.listener().http2_connection_window);
    options.limits = connection.plan().limits;
    options.heap = &session_heap;
    return options;
}

Http2Clock clock_of(const Connection& connection) {
    // A stream that is not read dies by itself after one of these; whoever goes on opening others loses them all.
    constexpr int stalls = 2;
    const config::ListenerTimeouts& timeouts = connection.listener().timeouts;
    return Http2Clock{{.settings_ack = timeouts.settings_ack,
                       .ping_interval = timeouts.ping_interval,
                       .ping = timeouts.ping,
                       .stall = stalls * timeouts.write,
                       .rate = response_rate(connection.listener().limits.response_rate)},
                      connection.now(),
                      connection.old_at()};
}

/// One request and its answer.
io::Task<void> serve_stream(Connection& connection, std::unique_ptr<Http2Exchange> given) {
    // The frame, and the parameters in it, may live a little longer than the connection.
    const std::unique_ptr<Http2Exchange> exchange = std::move(given);
    if (exchange->head_error() != http::errc::ok) {
        co_await refuse(connection, *exchange, exchange->workspace(), exchange->head_error());
    } else {
        co_await dispatch(connection, *exchange, exchange->workspace());
    }
    if (!exchange->is_shed()) co_await exchange->linger();
}

/// The same a little later, for a client that wastes our time.
io::Task<void> serve_later(Connection& connection, std::unique_ptr<Http2Exchange> given) {
    std::unique_ptr<Http2Exchange> exchange = std::move(given);
    io::Reactor& reactor = connection.lane().reactor;
    const auto slept = co_await io::Sleep{reactor, reactor.now() + Http2Connection::strained_delay};
    if (!slept || exchange->client_gone() || exchange->closed()) co_return;
    co_await serve_stream(connection, std::move(exchange));
}

admin::Http2End end_of(http::Http2Fault fault) {
    switch (fault) {
        case http::Http2Fault::glitches:
            return admin::Http2End::glitches;
        case http::Http2Fault::continuation:
            return admin::Http2End::continuation;
        case http::Http2Fault::outbound_queue:
            return admin::Http2End::outbound_queue;
        default:
            return admin::Http2End::protocol_error;
    }
}

/// The limit that a connection was ended for, as HTTP/1.1 counts it; nothing where it has none of that kind.
std::optional<admin::Limit> limit_of(admin::Http2End end) {
    switch (end) {
        case admin::Http2End::header_timeout:
            return admin::Limit::header;
        case admin::Http2End::stalled:
        case admin::Http2End::write_timeout:
            return admin::Limit::write;
        case admin::Http2End::response_rate:
            return admin::Limit::response_rate;
        default:
            return {};
    }
}

admin::Limit limit_of(admin::SlowStream reason) {
    switch (reason) {
        case admin::SlowStream::body_timeout:
            return admin::Limit::body;
        case admin::SlowStream::body_rate:
            return admin::Limit::body_rate;
        case admin::SlowStream::response_rate:
            return admin::Limit::response_rate;
        default:
            return admin::Limit::write;
    }
}

}  // namespace

Http2Connection::Http2Connection(Connection& connection)
    : connection_(connection),
      session_(*this, options_of(connection)),
      clock_(clock_of(connection)),
      outlet_(connection.stream(), *this),
      empty_(connection.lane().reactor),
      idle_since_(connection.now()) {
    connection_.served_by(this);
    connection_.socket().pace(nullptr);  // Http2Clock looks at all streams together
}

Http2Connection::~Http2Connection() {
    connection_.served_by(nullptr);
}

// ---- streams

http::Http2Stream* Http2Connection::opened(std::int32_t id) {
    // Streams that the client has reset count until their work is undone.
    if (open_ >= connection_.listener().http2_max_streams) return nullptr;
    if (!connection_.seat().stream_begins()) {
        lane().cells->hit(admin::Limit::streams_per_source);
        return nullptr;
    }
    Http2Exchange* exchange = nullptr;
    try {
        exchange = new Http2Exchange(*this, id);
    } catch (const std::bad_alloc&) {
        connection_.seat().stream_ends();
        return nullptr;
    }
    exchange->next = exchanges_;
    if (exchanges_ != nullptr) exchanges_->prev = exchange;
    exchanges_ = exchange;
    if (open_++ == 0) connection_.idle(false);
    const unsigned most = connection_.listener().limits.requests_per_connection;
    if (++served_ >= most && most > 0) worn_ = true;
    return exchange;
}

void Http2Connection::head_done(http::Http2Stream& stream, http::errc error) {
    Http2Exchange& exchange = of(stream);
    exchange.head_done(error);
    ready_.push_back(&exchange);
    exchange.serve();
}

void Http2Connection::closed(http::Http2Stream& stream) {
    Http2Exchange& exchange = of(stream);
    if (!exchange.served()) {
        delete &exchange;
        return;
    }
    if (!exchange.output_ended()) return exchange.gone();
    exchange.wake_reader();
    exchange.wake_writer();
}

void Http2Connection::left(Http2Exchange& exchange) {
    session_.consume(exchange, exchange.unused());
    session_.forget(exchange);
    connection_.seat().stream_ends();
    if (exchange.prev != nullptr) exchange.prev->next = exchange.next;
    if (exchange.next != nullptr) exchange.next->prev = exchange.prev;
    if (exchanges_ == &exchange) exchanges_ = exchange.next;
    outlet_.push_later();  // a window or a reset may be on its way
    if (--open_ > 0) return;
    clock_.one_moves();
    idle_since_ = reactor().now();
    connection_.idle(true);
    empty_.set();
    set_deadline();
}

void Http2Connection::start_streams() {
    if (ready_.empty()) return;
    const bool later = session_.strained(reactor().now());
    for (std::size_t i = 0; i < ready_.size(); ++i) {
        std::unique_ptr<Http2Exchange> exchange{std::exchange(ready_[i], nullptr)};
        if (exchange->closed()) continue;
        if (later) cells().delayed.add();
        const auto serve = later ? &serve_later : &serve_stream;
        reactor().spawn(serve(connection_, std::move(exchange)));
    }
    ready_.clear();
}

void Http2Connection::stream_waits() {
    if (++waiting_ < open_) return;
    clock_.all_wait(reactor().now());
    wake_at_next();
}

void Http2Connection::stream_moves() {
    clock_.one_moves();
    if (waiting_ == open_) clock_.all_wait(reactor().now());
}

// ---- in

void Http2Connection::set_deadline() {
    io::TimePoint deadline = io::never;
    if (session_.in_head()) {
        if (head_since_ == io::never) head_since_ = reactor().now();
        deadline = io::deadline_after(head_since_, timeouts().header);
    } else {
        head_since_ = io::never;
        if (open_ == 0)
            deadline = io::deadline_after(idle_since_, served_ == 0 ? timeouts().first_request : timeouts().keepalive);
    }
    connection_.socket().read_deadline(deadline);
}

/// The deadline has passed: is it the one that still counts?
void Http2Connection::read_timed_out() {
    const io::TimePoint now = reactor().now();
    if (session_.in_head()) {
        if (io::deadline_after(head_since_, timeouts().header) <= now)
            end_for(admin::Http2End::header_timeout, http::Http2Code::enhance_your_calm);
    } else if (open_ == 0) {
        if (served_ == 0) lane().cells->hit(admin::Limit::first_request);
        ended_by(admin::Http2End::idle);
        session_.end_now();
    }
    push();
}

/// Feeds what is there, at most the budget of a turn. The error that ended reading, if one did.
io::Task<io::error_code> Http2Connection::read_available() {
    io::Buffer buffer = much_ ? reactor().buffers().take_large() : reactor().buffers().take_small();
    for (std::size_t taken = 0; taken < read_budget && session_.wants_input();) {
        const auto got = co_await connection_.stream().read_some(buffer.span());
        if (!got) co_return got.error();
        taken += *got;
        much_ = *got == buffer.size();
        clock_.heard(reactor().now());
        session_.feed({buffer.data(), *got}, reactor().now());
        start_streams();
        if (worn_) begin_end(admin::Http2End::requests);
        push();
        set_deadline();
        if (!connection_.socket().readable() && !connection_.stream().has_buffered()) co_return io::error_code();
    }
    buffer.release();
    co_await reactor().yield();
    co_return io::error_code();
}

io::Task<void> Http2Connection::run() {
    connection_.idle(true);
    if (connection_.keeps_nobody()) begin_end(admin::Http2End::drain);
    push();
    set_deadline();
    wake_at_next();
    std::exception_ptr failed;  // there is no memory; the streams, which point here, must have ended before this goes
    try {
        while (session_.wants_input()) {
            const auto readable = co_await connection_.stream().wait_readable();
            io::error_code error = readable ? io::error_code() : readable.error();
            if (!error) error = co_await read_available();
            if (error == io::errc::timed_out) {
                read_timed_out();
            } else if (error && !(error == io::errc::cancelled && !connection_.socket().cancelled())) {
                outlet_.give_up();
                break;
            }
        }
    } catch (...) {
        failed = std::current_exception();
        outlet_.give_up();
    }
    if (outlet_.broken()) connection_.socket().cancel();
    outlet_.push_now();
    break_off_streams();
    while (open_ > 0) {
        empty_.reset();
        const auto waited = co_await empty_.wait();
        static_cast<void>(waited);
    }
    co_await outlet_.join();
    count_end();
    if (failed) std::rethrow_exception(failed);
    if (!outlet_.broken()) co_await linger();
}

// ---- out

void Http2Connection::waits() {
    clock_.output_waits(reactor().now());
    wake_at_next();
}

void Http2Connection::sent(std::size_t bytes, const io::error_code& error) {
    clock_.output_left(reactor().now(), bytes);
    if (!error) return;
    if (error == io::errc::timed_out) {
        ended_by(admin::Http2End::write_timeout);
        connection_.lost(loss::write_timeout);
    }
    connection_.socket().cancel();
}

void Http2Connection::moved() {
    if (session_.wants_input() || lingering_) return;
    // The reader waits for a client that has nothing to say any more.
    connection_.socket().cancel_read();
    if (session_.fault() == http::Http2Fault::none) return;
    clock_.said_last_word(reactor().now());
    wake_at_next();
}

// ---- end

/// The client is to open no more streams here; what is open is served to its end.
void Http2Connection::begin_end(admin::Http2End why) {
    if (std::exchange(ending_, true)) return;
    ended_by(why);
    session_.announce_end();
    clock_.said_goodbye(reactor().now());
    wake_at_next();
}

bool Http2Connection::drain_asked() {
    begin_end(admin::Http2End::drain);
    push();
    return true;
}

/// Its place is wanted, and nothing is open.
bool Http2Connection::end_asked() {
    session_.end_now();
    push();
    return true;
}

std::size_t Http2Connection::held() const {
    std::size_t sum = outlet_.held();
    for (const Http2Exchange* exchange = exchanges_; exchange != nullptr; exchange = exchange->next)
        sum += exchange->held();
    return sum;
}

void Http2Connection::list_streams(std::vector<Holding>& holdings) {
    for (Http2Exchange* exchange = exchanges_; exchange != nullptr; exchange = exchange->next) {
        if (exchange->served() && !exchange->client_gone() && !exchange->output_ended())
            holdings.push_back({exchange->held(), nullptr, exchange});
    }
}

void Http2Connection::cut_stream(Exchange& stream) {
    auto& exchange = static_cast<Http2Exchange&>(stream);
    exchange.lost(loss::memory);
    session_.reset(exchange, http::Http2Code::cancel);
    exchange.gone();
    push();
}

/// The first reason is the one that counts; a fault of the client's bytes comes before all.
void Http2Connection::ended_by(admin::Http2End why) {
    if (end_ == admin::Http2End::client) end_ = why;
}

void Http2Connection::count_end() {
    const http::Http2Fault fault = session_.fault();
    const admin::Http2End why = fault == http::Http2Fault::none ? end_ : end_of(fault);
    cells().end(why);
    if (const auto limit = limit_of(why)) lane().cells->hit(*limit);
}

void Http2Connection::too_slow(admin::SlowStream reason) {
    cells().too_slow(reason);
    lane().cells->hit(limit_of(reason));
}

/// With last words, which the client has a moment to take.
void Http2Connection::end_for(admin::Http2End why, http::Http2Code code) {
    ended_by(why);
    session_.terminate(code);
    clock_.said_last_word(reactor().now());
    wake_at_next();
}

/// Without: the client takes nothing.
void Http2Connection::break_off(admin::Http2End why) {
    ended_by(why);
    outlet_.give_up();
    connection_.socket().cancel();
}

void Http2Connection::expired(io::TimePoint now) {
    if (session_.settings_acknowledged()) clock_.settings_acknowledged();
    while (!outlet_.broken() && act(clock_.due(now, open_ > 0))) {
    }
    push();
    if (!outlet_.broken()) wake_at_next();
}

/// False: nothing more to do.
bool Http2Connection::act(Http2Clock::Due due) {
    using Due = Http2Clock::Due;
    using End = admin::Http2End;
    switch (due) {
        case Due::nothing:
            return false;
        case Due::ping:
            session_.ping();
            return true;
        case Due::age:
            begin_end(End::age);
            return true;
        case Due::goodbye:
            session_.end_now();
            return true;
        case Due::settings_ack:
            clock_.settings_acknowledged();
            end_for(End::settings_timeout, http::Http2Code::settings_timeout);
            return true;
        case Due::stall:
            clock_.one_moves();
            if (waiting_ < open_) return true;
            connection_.lost(loss::write_timeout);
            end_for(End::stalled, http::Http2Code::enhance_your_calm);
            return true;
        case Due::ping_answer:
            break_off(End::ping_timeout);
            return false;
        case Due::slow_reader:
            connection_.lost(loss::response_rate);
            break_off(End::response_rate);
            return false;
        case Due::close:
            break_off(end_);
            return false;
    }
    return false;
}

/// Tells every exchange that its client is gone; those that were not started yet end here.
void Http2Connection::break_off_streams() {
    for (Http2Exchange* exchange : ready_) delete exchange;  // null: it was
    ready_.clear();
    for (Http2Exchange* exchange = exchanges_; exchange != nullptr;) {
        Http2Exchange* const next = exchange->next;
        if (!exchange->served()) {
            delete exchange;
        } else if (!exchange->output_ended() || !exchange->input_ended()) {
            exchange->gone();  // also the half of a tunnel whose endpoint has ended
        }
        exchange = next;
    }
}

/// Closes so that the client gets our last words: our end first, then what it still sends is let go.
io::Task<void> Http2Connection::linger() {
    lingering_ = true;
    reactor().wheel().cancel(*this);
    connection_.stream().shutdown_write();
    connection_.socket().read_deadline(std::min(clock_.close_at(), reactor().now() + linger_time));
    for (std::size_t taken = 0; taken < linger_bytes;) {
        const auto readable = co_await connection_.stream().wait_readable();
        if (!readable) co_return;
        const io::Buffer sink = reactor().buffers().take_small();
        const auto got = co_await connection_.stream().read_some(sink.span());
        if (!got) co_return;
        taken += *got;
    }
}

}  // namespace edgeproxy::proxy
