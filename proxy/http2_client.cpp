// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_client.hpp"

namespace edgeproxy::proxy {

using upstream::errc;
using upstream::Result;

Http2Client::Http2Client(Http2Upstream& connection, AnswerSpace& space)
    : Http2ClientStream(space->trailers),
      connection_(connection),
      space_(space),
      body_(connection.reactor().buffers()),
      readable_(connection.reactor()),
      writable_(connection.reactor()),
      first_(connection.served() == 0) {
    space->trailers.clear();
    connection_.joined(*this);
}

Http2Client::~Http2Client() {
    connection_.left(*this);
}

bool Http2Client::enlarge_head() {
    if (head_memory_.size() >= io::BufferPool::large) return false;
    io::Buffer larger = connection_.reactor().buffers().take_large();
    answer.move_to(larger.span());
    small_memory_ = std::move(head_memory_);  // an interim head may still be read there
    head_memory_ = std::move(larger);
    return true;
}

bool Http2Client::take(std::string_view bytes) {
    if (!body_.push(bytes)) return false;
    readable_.set();
    return true;
}

/// Why nothing more can come of it; no error while something can.
errc Http2Client::failure() const {
    if (cancelled_) return errc::cancelled;
    if (malformed() || (connection_.session().misbehaved() && !input_ended())) return errc::bad_response;
    if (refused()) return errc::refused_stream;
    if (input_ended() || !(closed() || connection_.over())) return errc{};
    if (begun_) return errc::response_truncated;
    if (closed()) return errc::reset;
    if (!first_) return errc::stale_connection;
    return connection_.ended_in_order() ? errc::closed_early : errc::reset;
}

// ---- out

io::Task<Result<void>> Http2Client::send(const OutgoingRequest& request) {
    // Its connection may have ended since it was chosen.
    if (connection_.over() || connection_.session().closing()) co_return errc::refused_stream;
    asked_ = connection_.reactor().now();
    head_memory_ = connection_.reactor().buffers().take_small();
    answer.begin(head_memory_.span());
    const bool end = request.done || request.body.kind == http::Body::Kind::none;
    const bool begun =
        connection_.session().request(*this, request.head, connection_.scheme(), request.data, end, request.trailers);
    if (!begun) co_return errc::bad_response;
    connection_.push();
    if (output_taken()) co_return Result<void>();
    co_return co_await wait_taken();
}

io::Task<Result<void>> Http2Client::send_body(BodyPiece piece, std::span<const http::Field> trailers) {
    const errc failed = failure();
    if (failed != errc{}) co_return failed;
    if (output_ended() || (piece.data.empty() && !piece.done)) co_return Result<void>();
    // The answer is complete and nobody wants the rest.
    if (closed()) co_return errc::closed_early;
    connection_.session().send(*this, piece.data, piece.done, trailers);
    connection_.push();
    if (output_taken()) co_return Result<void>();
    co_return co_await wait_taken();
}

/// Until what was given to the session is in its output. When it fails, the session has let go of the memory.
io::Task<Result<void>> Http2Client::wait_taken() {
    errc error{};
    for (std::size_t before = output_left(); error == errc{} && !output_taken(); before = output_left()) {
        error = failure();
        if (error == errc{} && closed()) error = errc::closed_early;
        if (error != errc{}) break;
        writable_.reset();
        io::TimePoint deadline = io::never;
        if (stall_ > io::Duration::zero()) deadline = io::deadline_after(connection_.reactor().now(), stall_);
        const auto waited = co_await writable_.wait(deadline);
        if (waited || output_left() < before) continue;
        error = waited.error() == io::errc::timed_out ? errc::write_timeout : errc::cancelled;
    }
    if (error == errc{}) co_return Result<void>();
    connection_.session().reset(*this, http::Http2Code::cancel);
    connection_.push();
    co_return error;
}

void Http2Client::cancel() {
    if (cancelled_) return;
    cancelled_ = true;
    connection_.session().reset(*this, http::Http2Code::cancel);
    connection_.push();
    wake();
}

// ---- in

void Http2Client::read_deadline(io::TimePoint deadline) {
    if (read_deadline_ == deadline) return;
    read_deadline_ = deadline;
    readable_.set();  // whoever waits looks at the new one
}

io::Task<Result<void>> Http2Client::wait_readable(io::TimePoint deadline, errc timed_out) {
    readable_.reset();
    const auto waited = co_await readable_.wait(deadline);
    if (waited) co_return Result<void>();
    if (waited.error() != io::errc::timed_out) co_return errc::cancelled;
    connection_.doubt(asked_);
    co_return timed_out;
}

io::Task<Result<bool>> Http2Client::wait_for_word(io::TimePoint deadline) {
    while (answer.waiting() == 0) {
        const errc failed = failure();
        if (failed != errc{}) co_return failed;
        readable_.reset();
        const auto waited = co_await readable_.wait(deadline);
        if (waited) continue;
        if (waited.error() == io::errc::timed_out) co_return false;
        co_return errc::cancelled;
    }
    co_return true;
}

io::Task<Result<void>> Http2Client::read_head(http::Method method) {
    for (;;) {
        if (answer.waiting() > 0 && !cancelled_) {
            if (answer.read(method, space_->response) == http::errc::ok) co_return Result<void>();
            connection_.session().reset(*this, http::Http2Code::protocol_error);
            connection_.push();
            co_return errc::bad_response;
        }
        const errc failed = failure();
        if (failed != errc{}) co_return failed;
        const auto more = co_await wait_readable(read_deadline_, errc::response_timeout);
        if (!more) co_return more.error();
    }
}

io::Task<Result<void>> Http2Client::gather(io::TimePoint deadline) {
    while (!has_body()) {
        const errc failed = failure();
        if (failed != errc{}) co_return failed;
        const auto more = co_await wait_readable(deadline, errc::idle_timeout);
        if (!more && more.error() == errc::idle_timeout) break;
        if (!more) co_return more.error();
    }
    co_return Result<void>();
}

/// What the caller got by the last read has been used: the endpoint may send as much again.
void Http2Client::use_given() {
    if (given_ == 0) return;
    body_.pop(given_);
    connection_.session().consume(*this, given_);
    given_ = 0;
    connection_.push();
}

/// What comes with an answer that has no body (204, 304, to HEAD) is let go with the stream, whose end nobody awaits.
bool Http2Client::bodiless() const {
    return space_->response.body.kind == http::Body::Kind::none;
}

BodyPiece Http2Client::body_at_hand() {
    if (bodiless()) return {{}, true};
    const std::string_view data = body_.front();
    given_ = data.size();
    return {data, input_ended() && body_.size() == given_};
}

io::Task<Result<BodyPiece>> Http2Client::read_body() {
    use_given();
    for (;;) {
        const bool usable = !cancelled_ && !malformed();
        if (usable && bodiless()) co_return BodyPiece{{}, true};
        if (usable && !body_.empty()) co_return body_at_hand();
        if (usable && input_ended()) co_return BodyPiece{{}, true};
        const errc failed = failure();
        if (failed != errc{}) co_return failed;
        const auto more = co_await wait_readable(read_deadline_, errc::idle_timeout);
        if (!more) co_return more.error();
    }
}

}  // namespace edgeproxy::proxy
