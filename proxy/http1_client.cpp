// SPDX-License-Identifier: Apache-2.0
#include "proxy/http1_client.hpp"

#include <array>
#include <utility>

#include "proxy/http/http1_writer.hpp"

namespace edgeproxy::proxy {

using upstream::Result;

Http1Client::Http1Client(std::unique_ptr<upstream::UpstreamConnection> connection, AnswerSpace& answer)
    : connection_(std::move(connection)), answer_(answer) {}

upstream::errc Http1Client::read_failure(const io::error_code& error, upstream::errc timed_out) {
    failed_ = true;
    return meaning(error, timed_out);
}

/// Whoever takes no more of the request may have answered it all the same.
upstream::errc Http1Client::write_failure(const io::error_code& error) {
    unsent_ = true;
    return meaning(error, upstream::errc::write_timeout);
}

upstream::errc Http1Client::meaning(const io::error_code& error, upstream::errc timed_out) {
    if (error == io::errc::timed_out) return timed_out;
    if (error == io::errc::cancelled) return upstream::errc::cancelled;
    reset_ = error != io::errc::eof;
    if (head_done_) return reset_ ? upstream::errc::reset : upstream::errc::response_truncated;
    if (begun_) return upstream::errc::response_truncated;
    if (connection_->reused()) return upstream::errc::stale_connection;
    return reset_ ? upstream::errc::reset : upstream::errc::closed_early;
}

io::Task<Result<void>> Http1Client::send(const OutgoingRequest& request) {
    chunked_ = request.body.kind == http::Body::Kind::chunked;
    const std::string_view beside = chunked_ ? std::string_view() : request.data;
    const auto put = co_await connection_->stream().write_all(request.head, beside);
    if (!put) co_return write_failure(put.error());
    if (chunked_ && (!request.data.empty() || request.done))
        co_return co_await send_chunk(request.data, request.done, request.trailers);
    co_return Result<void>();
}

io::Task<Result<void>> Http1Client::send_raw(std::string_view data) {
    const auto put = co_await connection_->stream().write_all(data);
    if (!put) co_return write_failure(put.error());
    co_return Result<void>();
}

io::Task<Result<void>> Http1Client::send_body(BodyPiece piece, std::span<const http::Field> trailers) {
    if (piece.pipe != nullptr) return send_pipe(*piece.pipe);
    return chunked_ ? send_chunk(piece.data, piece.done, trailers) : send_raw(piece.data);
}

io::Task<Result<void>> Http1Client::send_pipe(io::Pipe& pipe) {
    const auto put = co_await connection_->socket().splice_all(pipe);
    if (!put) co_return write_failure(put.error());
    co_return Result<void>();
}

io::Task<Result<void>> Http1Client::send_chunk(std::string_view data, bool last,
                                               std::span<const http::Field> trailers) {
    std::array<char, http::max_chunk_line> line_space;
    http::HeadWriter line{line_space};
    if (!data.empty()) line.chunk_line(data.size());
    std::string_view tail = http::chunk_tail(data, last);
    io::Buffer trailer_space;
    if (last && !trailers.empty()) {
        trailer_space = connection_->socket().reactor().buffers().take_small();
        http::HeadWriter out{trailer_space.span()};
        out.chunk_tail(data, trailers);
        tail = out.text();
    }
    const auto put = co_await connection_->stream().write_all(line.text(), data, tail);
    if (!put) co_return write_failure(put.error());
    co_return Result<void>();
}

io::Task<Result<bool>> Http1Client::wait_for_word(io::TimePoint deadline) {
    connection_->socket().read_deadline(deadline);
    const auto word = co_await connection_->stream().wait_readable();
    connection_->socket().read_deadline(io::never);
    if (word) co_return true;
    if (word.error() == io::errc::timed_out) co_return false;
    co_return upstream::errc::cancelled;
}

void Http1Client::finish(upstream::Admission& admission) {
    if (!reusable()) return;
    connection_->answers_at_length(taken_ > io::BufferPool::small);
    input_.release();
    admission.give_back(std::move(connection_));
}

io::Task<Result<void>> Http1Client::read_more(upstream::errc timed_out, bool large) {
    const auto got = co_await connection_->stream().read_some(input_.buffer, input_.end,
                                                              large ? io::BufferPool::large : io::BufferPool::small);
    if (!got) co_return read_failure(got.error(), timed_out);
    begun_ = true;
    input_.end += *got;
    taken_ += *got;
    co_return Result<void>();
}

/// What comes next of the body, up to the end of its run, into `pipe_`; which stays none where that cannot be.
io::Task<Result<void>> Http1Client::splice_more() {
    input_.release();
    const auto got = co_await connection_->socket().splice_some(pipe_, body_.run());
    if (!got) co_return read_failure(got.error(), upstream::errc::idle_timeout);
    body_.skip(*got);
    taken_ += *got;
    co_return Result<void>();
}

io::Task<Result<void>> Http1Client::read_head(http::Method method) {
    bool fresh = true;
    // Head and body in one read and on in one write.
    const std::size_t room = connection_->answers_at_length() ? io::BufferPool::large : io::BufferPool::small;
    for (;;) {
        if (!input_.empty()) {
            if (std::exchange(fresh, false)) answer_->response.reset();
            const http::ReadResult read = reader_.read(input_.text(), method, answer_->response);
            if (read.status == http::ReadResult::Status::complete) {
                input_.begin += read.head_size;
                break;
            }
            if (read.status == http::ReadResult::Status::failed) {
                failed_ = true;
                co_return upstream::errc::bad_response;
            }
        } else {
            input_.begin = input_.end = 0;
        }
        if (!input_.make_room()) {
            failed_ = true;
            co_return upstream::errc::bad_response;
        }
        // Not through read_more: a frame less for every request.
        const auto got = co_await connection_->stream().read_some(input_.buffer, input_.end, room);
        if (!got) co_return read_failure(got.error(), upstream::errc::response_timeout);
        begun_ = true;
        input_.end += *got;
        taken_ += *got;
    }
    if (answer_->response.interim()) co_return Result<void>();
    head_done_ = true;
    keep_alive_ = answer_->response.keep_alive;
    body_.start(answer_->response.body, &answer_->trailers);
    co_return Result<void>();
}

io::Task<Result<void>> Http1Client::gather(io::TimePoint deadline) {
    connection_->socket().read_deadline(deadline);
    while (!has_body() && input_.end < input_.buffer.size()) {
        const auto got = co_await connection_->stream().read_some(input_.buffer, input_.end);
        if (!got && got.error() == io::errc::timed_out) break;
        if (!got) co_return read_failure(got.error(), upstream::errc::idle_timeout);
        input_.end += *got;
        taken_ += *got;
    }
    co_return Result<void>();
}

BodyPiece Http1Client::body_at_hand() {
    if (body_.done()) return {{}, true};
    if (input_.empty()) return {};
    const http::BodyStep step = next_of_body(body_, input_);
    if (step.error != http::errc::ok) failed_ = true;
    return {step.data, body_.done()};
}

io::Task<Result<BodyPiece>> Http1Client::read_body() {
    pipe_.release();
    for (;;) {
        const BodyPiece piece = body_at_hand();
        if (failed_) co_return upstream::errc::bad_response;
        if (!piece.data.empty() || piece.done) co_return piece;
        if (!input_.empty()) continue;
        const bool much = body_.run() > io::BufferPool::small;
        const bool full = input_.end == input_.buffer.size();
        const bool large = input_.buffer.size() == io::BufferPool::large || (much && full);
        input_.release();
        if (may_splice()) {
            const auto more = co_await splice_more();
            if (!more) co_return more.error();
            if (pipe_) co_return BodyPiece{{}, body_.done(), &pipe_};
        }
        const auto more = co_await read_more(upstream::errc::idle_timeout, large);
        if (more) continue;
        const bool in_order = !reset_ && !connection_->stream().truncated();
        if (more.error() == upstream::errc::response_truncated && in_order && body_.complete_at_eof()) {
            failed_ = false;
            keep_alive_ = false;
            co_return BodyPiece{{}, true};
        }
        co_return more.error();
    }
}

}  // namespace edgeproxy::proxy
