// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_exchange.hpp"

#include "proxy/http2_connection.hpp"

namespace edgeproxy::proxy {
namespace {

using io::Result;

io::error_code reset_by_peer() {
    return boost::system::errc::make_error_code(boost::system::errc::connection_reset);
}

/// A Sec-WebSocket-Key: base64 of 16 bytes. Digits of a fresh id are base64 as they are; the last letter has four bits
/// that must be zero.
void make_websocket_key(Lane& lane, std::array<char, 24>& key) {
    std::array<char, RequestIds::size> id;
    lane.ids.next(lane.wall.unix_ms(), id);
    constexpr std::size_t random_digits = 21;
    std::size_t from = id.size();
    for (std::size_t at = 0; at < random_digits; ++at) {
        do --from;
        while (id[from] == '-');
        key[at] = id[from];
    }
    constexpr std::string_view end = "A==";
    std::copy(end.begin(), end.end(), key.begin() + random_digits);
}

}  // namespace

Http2Exchange::Http2Exchange(Http2Connection& connection, std::int32_t id)
    : Http2Exchange(connection, id, connection.lane().workspaces.take()) {}

Http2Exchange::Http2Exchange(Http2Connection& connection, std::int32_t id, ObjectPool<Workspace>::Loan workspace)
    : Http2Stream(id, workspace->request_trailers),
      connection_(connection),
      workspace_(std::move(workspace)),
      head_memory_(connection.reactor().buffers().take_small()),
      body_(connection.reactor().buffers(), connection.session().largest_window()),
      readable_(connection.reactor()),
      writable_(connection.reactor()),
      input_rate_(connection.body_rate()),
      output_rate_(connection.reader_rate()) {
    head.begin(workspace_->request, head_memory_.span(), connection.limits());
}

Http2Exchange::~Http2Exchange() {
    connection_.left(*this);
}

void Http2Exchange::head_done(http::errc error) {
    head_error_ = error;
    if (error != http::errc::ok || !request().websocket) return;
    make_websocket_key(connection_.lane(), websocket_key_);
    head.give_websocket_key({websocket_key_.data(), websocket_key_.size()});
}

bool Http2Exchange::enlarge_head() {
    if (head_memory_.size() >= io::BufferPool::large) return false;
    io::Buffer larger = connection_.reactor().buffers().take_large();
    head.move_to(larger.span());
    head_memory_ = std::move(larger);
    return true;
}

bool Http2Exchange::take(std::string_view bytes) {
    if (!body_.push(bytes)) return false;
    readable_.set();
    return true;
}

std::string_view Http2Exchange::loss() const {
    return loss_ == loss::client_gone ? connection_.connection().loss() : loss_;
}

void Http2Exchange::gone() {
    if (client_gone()) return;
    readable_.set();
    writable_.set();
    tell_gone();
}

/// What the caller got by the last read has been used: the client may send as much again.
void Http2Exchange::use_given() {
    if (given_ == 0) return;
    body_.pop(given_);
    connection_.session().consume(*this, given_);
    given_ = 0;
    connection_.push();
}

BodyPiece Http2Exchange::body_at_hand() {
    if (request().websocket) return {{}, true};  // what follows is the tunnel's
    const std::string_view data = body_.front();
    given_ = data.size();
    figures.bytes_in += given_;
    return {data, input_ended() && body_.size() == given_};
}

io::Task<Result<BodyPiece>> Http2Exchange::read_body() {
    use_given();
    for (;;) {
        if (body_cancelled()) co_return io::errc::cancelled;
        if (input_error() != http::errc::ok)
            co_return boost::system::errc::make_error_code(boost::system::errc::bad_message);
        if (!input_ended() && (client_gone() || closed())) co_return reset_by_peer();
        const std::string_view data = body_.front();
        const bool all = input_ended() && body_.size() == data.size();
        // The end of a tunnel is told by itself: bytes with it would be dropped.
        if (!data.empty()) {
            given_ = data.size();
            figures.bytes_in += given_;
            co_return BodyPiece{data, all && !tunnel_};
        }
        if (all) co_return BodyPiece{{}, true};
        const io::error_code error = co_await wait_readable();
        if (error) co_return error;
    }
}

/// Until more of the body is here, or the client is too slow. Once the answer has begun it is the endpoint that says
/// how long it listens.
io::Task<io::error_code> Http2Exchange::wait_readable() {
    readable_.reset();
    if (tunnel_ || responded()) {
        const auto waited = co_await readable_.wait();
        co_return waited ? io::error_code() : waited.error();
    }
    const io::TimePoint now = connection_.reactor().now();
    const std::uint64_t got = figures.bytes_in + body_.size();
    input_rate_.moved(now, got - std::exchange(rated_in_, got));
    input_rate_.start(now);
    const io::TimePoint gap = io::deadline_after(now, connection_.timeouts().body);
    const auto waited = co_await readable_.wait(std::min(gap, input_rate_.deadline()));
    const bool slow = input_rate_.late(connection_.reactor().now());
    input_rate_.stop(connection_.reactor().now());
    if (waited) co_return io::error_code();
    const bool timed_out = waited.error() == io::errc::timed_out;
    if (timed_out && responded()) co_return io::error_code();  // it has begun meanwhile: look again
    if (timed_out) connection_.too_slow(slow ? admin::SlowStream::body_rate : admin::SlowStream::body_timeout);
    co_return waited.error();
}

io::Task<Result<void>> Http2Exchange::interim(const ResponseHead& answer) {
    if (over()) co_return reset_by_peer();
    connection_.session().interim(*this, answer.status, answer.fields);
    connection_.push();
    co_return Result<void>();
}

io::Task<Result<void>> Http2Exchange::respond(const ResponseHead& answer, std::string_view data, bool end) {
    if (over()) co_return reset_by_peer();
    // RFC 8441, section 5: the switch of protocols is a success like any other.
    const unsigned status = tunnel_ ? 200 : answer.status;
    const http::Body body = tunnel_ ? http::Body{} : answer.body;
    responded_ = true;
    figures.status = status;
    figures.bytes_out += data.size();
    connection_.session().respond(*this, status, answer.fields, body, data, end);
    connection_.push();
    if (output_taken() && !over()) co_return Result<void>();
    co_return co_await wait_taken();
}

io::Task<Result<void>> Http2Exchange::send(BodyPiece piece, std::span<const http::Field> trailers) {
    if (over()) co_return reset_by_peer();
    if (output_ended() || (piece.data.empty() && !piece.done)) co_return Result<void>();
    figures.bytes_out += piece.data.size();
    connection_.session().send(*this, piece.data, piece.done, trailers);
    connection_.push();
    if (output_taken() && !over()) co_return Result<void>();
    co_return co_await wait_taken();
}

/// Until what was given to the session is in its output. When it fails, the session has let go of the memory.
io::Task<Result<void>> Http2Exchange::wait_taken() {
    io::error_code error;
    io::TimePoint now = connection_.reactor().now();
    io::TimePoint stalled_at = io::deadline_after(now, connection_.timeouts().write);
    rate_output(now);
    output_rate_.start(now);
    connection_.stream_waits();
    while (!error && !output_taken()) {
        if (over()) {
            error = reset_by_peer();
            break;
        }
        writable_.reset();
        const std::size_t before = output_left();
        const auto waited = co_await writable_.wait(std::min(stalled_at, output_rate_.deadline()));
        now = connection_.reactor().now();
        rate_output(now);
        if (output_left() < before) {
            stalled_at = io::deadline_after(now, connection_.timeouts().write);
            connection_.stream_moves();
        }
        if (!waited && waited.error() == io::errc::timed_out) {
            error = judge_reader(now, stalled_at);
        } else if (!waited) {
            error = waited.error();
        }
    }
    output_rate_.stop(now);
    connection_.stream_goes_on();
    if (!error) connection_.stream_moves();
    if (!error && over()) error = reset_by_peer();
    if (!error) co_return Result<void>();
    connection_.session().reset(*this, http::Http2Code::cancel);
    connection_.push();
    co_return error;
}

/// What went out since it was asked last.
void Http2Exchange::rate_output(io::TimePoint now) {
    const std::uint64_t taken = figures.bytes_out - output_left();
    output_rate_.moved(now, taken - std::exchange(rated_out_, taken));
}

/// A deadline has passed. Is it this stream that the client does not read?
io::error_code Http2Exchange::judge_reader(io::TimePoint now, io::TimePoint& stalled_at) {
    if (connection_.backed_up()) {
        // The connection as a whole is slow, which is judged there.
        output_rate_ = RateWatch{connection_.reader_rate()};
        output_rate_.start(now);
        stalled_at = io::deadline_after(now, connection_.timeouts().write);
        return {};
    }
    const bool slow = output_rate_.late(now);
    if (!slow && stalled_at > now) return {};
    connection_.too_slow(slow ? admin::SlowStream::response_rate : admin::SlowStream::write_timeout);
    lost(slow ? loss::response_rate : loss::write_timeout);
    connection_.session().charge_slow_reader(now);
    return io::errc::timed_out;
}

/// For a request that was answered before its end. A reset right behind the answer is legal (RFC 9113, section 8.1),
/// but clients such as curl 7.88 then take the answer for lost.
io::Task<void> Http2Exchange::linger() {
    const io::TimePoint end = connection_.reactor().now() + linger_time;
    for (std::size_t taken = 0; output_ended() && !input_ended() && !closed() && !client_gone();) {
        use_given();
        while (!body_.empty()) {
            given_ = body_.front().size();
            taken += given_;
            use_given();
        }
        if (taken >= linger_bytes) co_return;
        readable_.reset();
        const auto more = co_await readable_.wait(end);
        if (!more) co_return;
    }
}

void Http2Exchange::abort() {
    if (output_ended()) return;
    connection_.session().reset(*this, tunnel_ ? http::Http2Code::cancel : http::Http2Code::internal_error);
    connection_.push();
}

}  // namespace edgeproxy::proxy
