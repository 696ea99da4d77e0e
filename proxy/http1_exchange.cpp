// SPDX-License-Identifier: Apache-2.0
#include "proxy/http1_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "proxy/http/http1_writer.hpp"

namespace edgeproxy::proxy {
namespace {

using http::Body;
using io::Result;

/// A client that sends no more may wait for its answer or be gone. It is asked once it has waited for so long: whoever
/// is gone answers with a reset, whoever is there passes over an interim answer (RFC 9110, section 15.2).
constexpr io::Duration half_close_patience = std::chrono::milliseconds(250);
constexpr std::string_view are_you_there = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Http1Exchange::Http1Exchange(Connection& connection, Input input)
    : connection_(connection),
      workspace_(connection.lane().workspaces.take()),
      input_(std::move(input)),
      reader_(connection.plan().limits) {
    workspace_->request.reset();
    connection_.served_by(this);
}

Http1Exchange::~Http1Exchange() {
    connection_.socket().watch_idle(nullptr);
    connection_.served_by(nullptr);
}

io::Task<Http1Exchange::Head> Http1Exchange::read_head() {
    io::Socket& socket = connection_.socket();
    socket.read_deadline(io::deadline_after(connection_.now(), connection_.listener().timeouts.header));
    for (;;) {
        if (!input_.empty()) {
            const http::ReadResult read = reader_.read(input_.text(), workspace_->request);
            if (read.status == http::ReadResult::Status::complete) {
                input_.begin += read.head_size;
                break;
            }
            if (read.status == http::ReadResult::Status::failed) {
                head_error_ = read.error;
                co_return Head::malformed;
            }
        }
        if (!input_.make_room()) {
            head_error_ = http::errc::head_too_large;
            co_return Head::malformed;
        }
        reader_.follow(input_.text(), workspace_->request);
        const auto got = co_await connection_.stream().read_some(input_.buffer, input_.end);
        if (!got) {
            const bool slow = got.error() == io::errc::timed_out && !input_.empty();
            co_return slow ? Head::slow : Head::closed;
        }
        input_.end += *got;
    }
    const http::Request& request = workspace_->request;
    keep_alive_ = request.keep_alive;
    body_.start(request.body, &workspace_->request_trailers);
    socket.read_deadline(io::never);
    socket.watch_idle(this);
    ask_half_closed();
    co_return Head::complete;
}

void Http1Exchange::idle_ended(io::Socket& socket) {
    // Readable while nobody reads: the next request, a half-close (both legal), or the end of everything.
    if (socket.broken()) return tell_gone();
    socket.watch_idle(this);
    ask_half_closed();
}

/// Sees to it that a client which has closed its side is asked whether it is still there.
void Http1Exchange::ask_half_closed() {
    io::Socket& socket = connection_.socket();
    if (!socket.peer_closed() || asked_ || responded_ || !body_.done() || request().version == http::Version::http10)
        return;
    if (ask_at_ == io::never) {
        ask_at_ = io::deadline_after(connection_.now(), half_close_patience);
        socket.read_deadline(ask_at_);
    } else if (connection_.now() >= ask_at_) {
        asked_ = true;
        socket.read_deadline(io::never);
        connection_.stream().write_at_once(are_you_there);
    }
}

BodyPiece Http1Exchange::body_at_hand() {
    if (body_.done() || input_.empty()) return {{}, body_.done()};
    const http::BodyStep step = next_of_body(body_, input_);
    if (step.error != http::errc::ok) body_error_ = step.error;
    figures.bytes_in += step.data.size();
    return {step.data, body_.done()};
}

/// The first time that more than the head is read: what the head's views point into stays where it is.
void Http1Exchange::set_head_apart() {
    if (head_buffer_) return;
    head_buffer_ = std::move(input_.buffer);
    input_.release();
}

io::Task<Result<void>> Http1Exchange::read_more() {
    set_head_apart();
    const bool much = body_.run() > io::BufferPool::small;
    if (may_splice()) {
        input_.release();
        const auto got = co_await read_in_time(true, 0);
        if (!got) co_return got.error();
        body_.skip(*got);
        figures.bytes_in += *got;
        if (pipe_) co_return Result<void>();
    }
    const std::size_t room = much ? io::BufferPool::large : std::max(input_.buffer.size(), io::BufferPool::small);
    input_.release();
    const auto got = co_await read_in_time(false, room);
    if (!got) co_return got.error();
    input_.end = *got;
    co_return Result<void>();
}

/// More of the body: no gap may be longer than `timeouts.body`, and all in all it must come at `limits.body_rate`,
/// until the answer begins. Behind that it is the endpoint that says how long it listens, within `timeouts.idle`.
io::Task<Result<std::size_t>> Http1Exchange::read_in_time(bool splice, std::size_t room) {
    const config::Listener& listener = connection_.listener();
    if (!body_rate_) body_rate_.emplace(body_rate(listener.limits.body_rate));
    for (;;) {
        io::TimePoint gap = io::never, pace = io::never;
        if (!responded()) {
            gap = io::deadline_after(connection_.now(), listener.timeouts.body);
            body_rate_->start(connection_.now());
            pace = body_rate_->deadline();
        }
        connection_.socket().read_deadline(std::min(gap, pace));
        const auto got = splice ? co_await connection_.socket().splice_some(pipe_, body_.run())
                                : co_await connection_.stream().read_some(input_.buffer, 0, room);
        connection_.socket().read_deadline(io::never);
        if (got) body_rate_->moved(connection_.now(), *got);
        body_rate_->stop(connection_.now());
        if (got || got.error() != io::errc::timed_out) co_return got;
        if (responded()) continue;  // it has begun meanwhile
        connection_.lane().cells->hit(pace < gap ? admin::Limit::body_rate : admin::Limit::body);
        co_return got;
    }
}

io::Task<Result<BodyPiece>> Http1Exchange::read_body() {
    if (body_cancelled()) co_return io::errc::cancelled;
    pipe_.release();
    for (;;) {
        if (body_error_ != http::errc::ok)
            co_return boost::system::errc::make_error_code(boost::system::errc::bad_message);
        if (body_.done()) co_return BodyPiece{{}, true};
        if (!input_.empty()) {
            const BodyPiece piece = body_at_hand();
            if (!piece.data.empty() || piece.done) co_return piece;
            continue;
        }
        const auto more = co_await read_more();
        if (!more) co_return more.error();
        if (pipe_) co_return BodyPiece{{}, body_.done(), &pipe_};
    }
}

void Http1Exchange::become_tunnel() {
    tunnel_ = true;
    keep_alive_ = false;
    connection_.socket().read_deadline(io::never);
}

void Http1Exchange::shed_request(const admin::ExchangeRecord* record) {
    if (record != nullptr) {
        kept_ = std::make_unique<admin::KeptRecord>(*record);
        figures.endpoint = kept_->record.endpoint;
    }
    shed_ = true;
    workspace_.reset();
    head_buffer_.release();
    if (input_.empty()) input_.release();
}

const admin::ExchangeRecord* Http1Exchange::kept_record() {
    if (!kept_) return nullptr;
    static_cast<admin::ExchangeFigures&>(kept_->record) = figures;
    return &kept_->record;
}

Result<void> Http1Exchange::sent(Result<std::size_t> outcome) {
    if (!outcome) {
        keep_alive_ = false;
        return outcome.error();
    }
    return {};
}

io::Task<Result<void>> Http1Exchange::interim(const ResponseHead& head) {
    if (request().version == http::Version::http10) co_return Result<void>();
    const io::Buffer buffer = connection_.lane().reactor.buffers().take_small();
    http::HeadWriter out{buffer.span()};
    out.status_line(head.status, head.reason);
    for (const http::Field& field : head.fields) out.field(field.name, field.value);
    out.end_head();
    if (out.overflowed()) co_return Result<void>();  // an interim answer may be left out (RFC 9110, section 15.2)
    const auto put = co_await connection_.stream().write_all(out.text());
    co_return sent(put);
}

void Http1Exchange::choose_framing(const ResponseHead& head) {
    if (tunnel_ || head.body.kind == Body::Kind::none || request().method == http::Method::head) {
        framing_ = Framing::none;
    } else if (head.body.kind == Body::Kind::length) {
        framing_ = Framing::length;
    } else if (request().version == http::Version::http10) {
        framing_ = Framing::until_close;
        keep_alive_ = false;
    } else {
        framing_ = Framing::chunked;
    }
    // What is left of the request would have to be read first, and nobody wants it any more.
    // Nor after a handshake that was refused: what follows was meant for a tunnel.
    if (!body_.done() || connection_.keeps_nobody() || (request().websocket && !tunnel_)) keep_alive_ = false;
}

void Http1Exchange::write_head(http::HeadWriter& out, const ResponseHead& head) const {
    out.status_line(head.status, head.reason);
    for (const http::Field& field : head.fields) out.field(field.name, field.value);
    if (tunnel_) {
        out.put("Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else {
        if (head.body.kind == Body::Kind::length) out.field("Content-Length", head.body.length);
        if (framing_ == Framing::chunked) out.put("Transfer-Encoding: chunked\r\n");
        if (!keep_alive_) {
            out.put("Connection: close\r\n");
        } else if (request().version == http::Version::http10) {
            out.put("Connection: keep-alive\r\n");
        }
    }
    out.end_head();
}

io::Task<Result<void>> Http1Exchange::respond(const ResponseHead& head, std::string_view data, bool end) {
    choose_framing(head);
    responded_ = true;
    figures.status = head.status;
    figures.bytes_out += data.size();
    io::Buffer buffer = connection_.lane().reactor.buffers().take_small();
    http::HeadWriter out{buffer.span()};
    write_head(out, head);
    if (out.overflowed()) {
        buffer = connection_.lane().reactor.buffers().take_large();
        out = http::HeadWriter{buffer.span()};
        write_head(out, head);
        if (out.overflowed()) {
            keep_alive_ = false;
            co_return boost::system::errc::make_error_code(boost::system::errc::message_size);
        }
    }
    if (framing_ == Framing::chunked && !data.empty()) out.chunk_line(data.size());
    const std::string_view tail = framing_ == Framing::chunked ? http::chunk_tail(data, end) : std::string_view();
    // Small bodies ride in the same buffer: one plain send is cheaper than a gathered one.
    if (data.size() + tail.size() <= buffer.size() - out.size()) {
        out.put(data);
        out.put(tail);
        const auto put = co_await connection_.stream().write_all(out.text());
        co_return sent(put);
    }
    const auto put = co_await connection_.stream().write_all(out.text(), data, tail);
    co_return sent(put);
}

io::Task<Result<void>> Http1Exchange::send(BodyPiece piece, std::span<const http::Field> trailers) {
    const auto [data, end, pipe] = piece;
    figures.bytes_out += piece.size();
    if (framing_ != Framing::chunked) {
        if (piece.size() > 0) {
            const auto put = pipe != nullptr ? co_await connection_.socket().splice_all(*pipe)
                                             : co_await connection_.stream().write_all(data);
            const auto outcome = sent(put);
            if (!outcome) co_return outcome.error();
        }
        co_return Result<void>();
    }
    std::array<char, http::max_chunk_line> line_space;
    http::HeadWriter line{line_space};
    if (!data.empty()) line.chunk_line(data.size());
    if (end && !trailers.empty()) {
        io::Buffer tail = connection_.lane().reactor.buffers().take_small();
        http::HeadWriter last{tail.span()};
        last.chunk_tail(data, trailers);
        const auto put = co_await connection_.stream().write_all(line.text(), data, last.text());
        co_return sent(put);
    }
    const std::string_view tail = http::chunk_tail(data, end);
    const auto put = co_await connection_.stream().write_all(line.text(), data, tail);
    co_return sent(put);
}

void Http1Exchange::abort() {
    aborted_ = true;
    keep_alive_ = false;
}

bool Http1Exchange::finish() {
    connection_.socket().watch_idle(nullptr);
    if (tunnel_ || aborted_ || !keep_alive_ || !responded_ || !body_.done()) return false;
    if (input_.empty()) input_.release();
    return true;
}

io::Task<void> Http1Exchange::end() {
    if (tunnel_) co_return;
    // A client that reads until the close can tell a broken answer only by a reset.
    if (aborted_) connection_.socket().close(framing_ == Framing::until_close);
    if (aborted_ || !responded_ || client_gone()) co_return;
    if (body_.done() && !connection_.socket().readable()) {
        connection_.stream().close_notify();
        co_return;
    }
    // The request was not read to its end.
    connection_.stream().shutdown_write();
    input_.release();
    const io::Buffer sink = connection_.lane().reactor.buffers().take_small();
    connection_.socket().read_deadline(connection_.now() + linger_time);
    for (std::size_t taken = 0; taken < linger_bytes;) {
        const auto got = co_await connection_.stream().read_some(sink.span());
        if (!got) co_return;
        taken += *got;
    }
}

}  // namespace edgeproxy::proxy
