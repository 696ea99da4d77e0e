// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_connection.hpp"

#include "proxy/dispatch.hpp"

namespace edgeproxy::proxy {
namespace {

/// At its end a connection takes in so much, for so long, lest a reset destroy our last words at the client.
constexpr std::size_t linger_bytes = 256 * 1024;
constexpr io::Duration linger_time = std::chrono::seconds(2);

http::Http2Options options_of(const Connection& connection) {
    http::Http2Options options;
    options.max_streams = connection.listener().http2_max_streams;
    options.limits = connection.plan().limits;
    return options;
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
}

}  // namespace

Http2Connection::Http2Connection(Connection& connection)
    : connection_(connection),
      session_(*this, options_of(connection)),
      empty_(connection.lane().reactor),
      idle_since_(connection.now()) {
    connection_.on_drain(this);
}

Http2Connection::~Http2Connection() {
    connection_.on_drain(nullptr);
}

// ---- streams

http::Http2Stream* Http2Connection::opened(std::int32_t id) {
    // Streams that the client has reset count until their work is undone.
    if (open_ >= connection_.listener().http2_max_streams) return nullptr;
    auto* const exchange = new Http2Exchange(*this, id);
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
    exchange.serve();
    ready_.push_back(&exchange);
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
    if (exchange.prev != nullptr) exchange.prev->next = exchange.next;
    if (exchange.next != nullptr) exchange.next->prev = exchange.prev;
    if (exchanges_ == &exchange) exchanges_ = exchange.next;
    reactor().at_batch_end(*this);  // a window or a reset may be on its way
    if (--open_ > 0) return;
    idle_since_ = reactor().now();
    connection_.idle(true);
    empty_.set();
    set_deadline();
}

void Http2Connection::start_streams() {
    for (std::size_t i = 0; i < ready_.size(); ++i) {
        std::unique_ptr<Http2Exchange> exchange{ready_[i]};
        if (exchange->closed()) continue;
        reactor().spawn(serve_stream(connection_, std::move(exchange)));
    }
    ready_.clear();
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
void Http2Connection::look_at_clock() {
    const io::TimePoint now = reactor().now();
    if (session_.in_head()) {
        if (io::deadline_after(head_since_, timeouts().header) <= now)
            session_.terminate(http::Http2Code::enhance_your_calm);
    } else if (open_ == 0) {
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
        session_.feed({buffer.data(), *got}, reactor().now());
        start_streams();
        if (worn_) begin_end();
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
    if (lane().draining) begin_end();
    push();
    set_deadline();
    while (session_.wants_input()) {
        const auto readable = co_await connection_.stream().wait_readable();
        io::error_code error = readable ? io::error_code() : readable.error();
        if (!error) error = co_await read_available();
        if (error == io::errc::timed_out) {
            look_at_clock();
        } else if (error && !(error == io::errc::cancelled && !connection_.socket().cancelled())) {
            broken_ = true;
            break;
        }
    }
    if (broken_) connection_.socket().cancel();
    push();
    flush_now();
    break_off_streams();
    while (open_ > 0) {
        empty_.reset();
        const auto waited = co_await empty_.wait();
        static_cast<void>(waited);
    }
    push();
    flush_now();
    if (flush_) co_await flush_;
    if (!broken_) co_await linger();
}

// ---- out

/// Puts into the output what the session has to say.
void Http2Connection::gather() {
    if (!out_) out_ = reactor().buffers().take_large();
    const std::size_t more = session_.write(out_.span().subspan(filled_, most_unsent - filled_));
    filled_ += more;
    if (more > 0) ++gathered_;
    if (filled_ == 0) out_.release();
}

void Http2Connection::push() {
    if (flushing_ || broken_) return;  // the flush takes along whatever there is when it is through
    gather();
    if (session_.wants_room() || gathered_ >= most_gathered) {
        flush_now();
    } else if (filled_ > 0) {
        reactor().at_batch_end(*this);
    }
    wake_if_over();
}

void Http2Connection::batch_ended() {
    if (flushing_ || broken_) return;
    gather();
    flush_now();
    wake_if_over();
}

void Http2Connection::flush_now() {
    if (flushing_ || broken_ || filled_ == 0) return;
    flushing_ = true;
    flush_ = flush();
    flush_.start();
}

io::Task<void> Http2Connection::flush() {
    while (filled_ > 0) {
        const auto put = co_await connection_.stream().write_all({out_.data(), filled_});
        filled_ = 0;
        gathered_ = 0;
        if (!put) {
            broken_ = true;
            connection_.socket().cancel();
            break;
        }
        filled_ = session_.write(out_.span().first(most_unsent));
    }
    out_.release();
    flushing_ = false;
    wake_if_over();
}

/// The reader waits for a client that has nothing to say any more.
void Http2Connection::wake_if_over() {
    if (!session_.wants_input()) connection_.socket().cancel_read();
}

// ---- end

/// The client is to open no more streams here; what is open is served to its end.
void Http2Connection::begin_end() {
    if (std::exchange(ending_, true)) return;
    session_.announce_end();
    reactor().wheel().schedule(*this, reactor().now() + goodbye_time);
}

void Http2Connection::drain_asked() {
    begin_end();
    push();
}

void Http2Connection::expired(io::TimePoint) {
    session_.end_now();
    push();
}

/// Tells every exchange that its client is gone; those that were not started yet end here.
void Http2Connection::break_off_streams() {
    for (Http2Exchange* exchange = exchanges_; exchange != nullptr;) {
        Http2Exchange* const next = exchange->next;
        if (!exchange->served()) {
            delete exchange;
        } else if (!exchange->output_ended()) {
            exchange->gone();
        }
        exchange = next;
    }
}

/// Closes so that the client gets our last words: our end first, then what it still sends is let go.
io::Task<void> Http2Connection::linger() {
    connection_.stream().shutdown_write();
    connection_.socket().read_deadline(reactor().now() + linger_time);
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
