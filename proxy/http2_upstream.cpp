// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_upstream.hpp"

#include <algorithm>
#include <exception>

#include "proxy/http2_client.hpp"
#include "proxy/lane.hpp"
#include "proxy/session_heap.hpp"

namespace edgeproxy::proxy {
namespace {

Http2Client& of(http::Http2ClientStream& stream) {
    return static_cast<Http2Client&>(stream);
}

io::Duration idle_time(const config::Keepalive& keepalive) {
    return keepalive.max_idle > 0 ? io::Duration(keepalive.idle_timeout) : io::Duration::zero();
}

}  // namespace

Http2Upstream::Http2Upstream(Lane& lane, std::unique_ptr<upstream::UpstreamConnection> connection,
                             const config::Pool& pool)
    : lane_(lane),
      reactor_(lane.reactor),
      connection_(std::move(connection)),
      idle_timeout_(idle_time(pool.keepalive)),
      session_(*this, &session_heap),
      outlet_(connection_->stream(), *this),
      greeted_(lane.reactor),
      empty_(lane.reactor),
      started_(reactor_.now()),
      last_read_(started_),
      idle_since_(started_),
      pinged_at_(started_) {
    connection_->socket().write_stall(pool.timeouts.write);
}

Http2Upstream::~Http2Upstream() = default;

/// `life` is its `run`.
io::Task<void> Http2Upstream::live(std::unique_ptr<Http2Upstream> given, io::Task<void> life) {
    // The frame, and the parameters in it, may live a little longer than the reactor's other parts.
    const std::unique_ptr<Http2Upstream> self = std::move(given);
    co_await life;
}

Http2Upstream::Hold Http2Upstream::start(Lane& lane, std::unique_ptr<upstream::UpstreamConnection> connection,
                                         const config::Pool& pool) {
    std::unique_ptr<Http2Upstream> made{new Http2Upstream(lane, std::move(connection), pool)};
    Http2Upstream& started = *made;
    ++started.holds_;
    // All frames are there before it begins: without memory it fails here, and not with the caller holding it.
    io::Task<void> life = started.run();
    lane.reactor.spawn(live(std::move(made), std::move(life)));
    return Hold{started};
}

io::Task<upstream::Result<void>> Http2Upstream::greeted(io::TimePoint deadline) {
    const auto waited = co_await greeted_.wait(deadline);
    if (!waited) {
        session_.terminate(http::Http2Code::settings_timeout);
        push();
        co_return waited.error() == io::errc::timed_out ? upstream::errc::connect_timeout : upstream::errc::cancelled;
    }
    if (session_.greeted() && !over_) co_return upstream::Result<void>();
    co_return upstream::errc::no_http2;
}

bool Http2Upstream::has_room() const {
    return !over_ && !retired_ && !doubtful_ && open_ < session_.allowed_streams();
}

void Http2Upstream::retire() {
    if (std::exchange(retired_, true)) return;
    leave_list();
    end_if_idle();
}

/// A retired connection ends with its last request.
void Http2Upstream::end_if_idle() {
    if (!retired_ || open_ > 0 || over_) return;
    session_.terminate(http::Http2Code::no_error);
    push();
}

void Http2Upstream::let_go() {
    if (--holds_ > 0 || open_ > 0) return;
    if (served_ == 0) retire();  // whoever had it opened could not use it
    empty_.set();
}

void Http2Upstream::joined(Http2Client& client) {
    client.next = clients_;
    if (clients_ != nullptr) clients_->prev = &client;
    clients_ = &client;
    ++served_;
    if (open_++ == 0) {
        last_read_ = reactor_.now();
        arm();
    }
}

void Http2Upstream::left(Http2Client& client) {
    session_.consume(client, client.unused());
    session_.forget(client);
    if (client.prev != nullptr) client.prev->next = client.next;
    if (client.next != nullptr) client.next->prev = client.prev;
    if (clients_ == &client) clients_ = client.next;
    outlet_.push_later();  // a window or a reset may be on its way
    if (--open_ > 0) return;
    idle_since_ = reactor_.now();
    if (idle_timeout_ == io::Duration::zero() || session_.closing()) retire();
    end_if_idle();
    arm();
    if (holds_ == 0) empty_.set();
}

// ---- events of the session

bool Http2Upstream::more_memory(http::Http2ClientStream& stream) {
    return of(stream).enlarge_head();
}

void Http2Upstream::head_done(http::Http2ClientStream& stream) {
    of(stream).head_came();
}

bool Http2Upstream::data(http::Http2ClientStream& stream, std::string_view bytes) {
    return of(stream).take(bytes);
}

void Http2Upstream::input_ended(http::Http2ClientStream& stream) {
    of(stream).wake();
}

void Http2Upstream::output_taken(http::Http2ClientStream& stream) {
    of(stream).wake();
}

void Http2Upstream::closed(http::Http2ClientStream& stream) {
    of(stream).wake();
}

void Http2Upstream::pong() {
    pinging_ = doubtful_ = false;
    repeated_ = true;
}

// ---- in

void Http2Upstream::moved() {
    if (outlet_.broken()) connection_->socket().cancel();
    if (!session_.wants_input()) connection_->socket().cancel_read();
}

io::Task<io::error_code> Http2Upstream::read_available() {
    io::Buffer buffer = much_ ? reactor_.buffers().take_large() : reactor_.buffers().take_small();
    for (std::size_t taken = 0; taken < read_budget && session_.wants_input();) {
        const auto got = co_await connection_->stream().read_some(buffer.span());
        if (!got) co_return got.error();
        taken += *got;
        much_ = *got == buffer.size();
        last_read_ = reactor_.now();
        repeated_ = doubtful_ = false;
        session_.feed({buffer.data(), *got}, last_read_);
        if (session_.greeted() || !session_.wants_input()) greeted_.set();
        if (session_.closing()) retire();
        push();
        if (!connection_->socket().readable() && !connection_->stream().has_buffered()) co_return io::error_code();
    }
    buffer.release();
    co_await reactor_.yield();
    co_return io::error_code();
}

io::Task<void> Http2Upstream::run() {
    connection_->socket().read_deadline(io::never);
    push();
    arm();
    std::exception_ptr failed;  // there is no memory; the requests, which point here, must have left before this goes
    try {
        while (session_.wants_input()) {
            const auto readable = co_await connection_->stream().wait_readable();
            io::error_code error = readable ? io::error_code() : readable.error();
            if (!error) error = co_await read_available();
            if (!error || (error == io::errc::cancelled && !connection_->socket().cancelled())) continue;
            in_order_ = error == io::errc::eof;
            outlet_.give_up();
            break;
        }
    } catch (...) {
        failed = std::current_exception();
        outlet_.give_up();
        connection_->socket().cancel();
    }
    over_ = true;
    leave_list();
    retired_ = true;
    reactor_.wheel().cancel(*this);
    greeted_.set();
    end_requests();
    co_await outlet_.join();
    while (open_ > 0 || holds_ > 0) {
        empty_.reset();
        const auto waited = co_await empty_.wait();
        static_cast<void>(waited);
    }
    co_await outlet_.join();
    if (failed) std::rethrow_exception(failed);
    if (!outlet_.broken()) connection_->stream().shutdown_write();
}

/// Tells everybody that nothing comes any more.
void Http2Upstream::end_requests() {
    for (Http2Client* client = clients_; client != nullptr; client = client->next) client->wake();
}

// ---- time

void Http2Upstream::doubt(io::TimePoint asked) {
    // A greeting that came right after the request is no sign of life any more.
    const io::TimePoint lately = asked + (reactor_.now() - asked) / 2;
    if (last_read_ > lately || pinging_ || over_) return;
    doubtful_ = pinging_ = true;
    pinged_at_ = reactor_.now();
    session_.ping();
    push();
    arm();
}

io::TimePoint Http2Upstream::due() const {
    io::TimePoint next = io::never;
    if (!session_.acknowledged()) next = std::min(next, io::deadline_after(started_, settings_time));
    if (pinging_) {
        next = std::min(next, io::deadline_after(pinged_at_, ping_time));
    } else if (open_ > 0) {
        const io::TimePoint quiet = io::deadline_after(last_read_, silence);
        next = std::min(next, repeated_ ? std::max(quiet, io::deadline_after(pinged_at_, ping_pause)) : quiet);
    }
    if (open_ == 0 && idle_timeout_ > io::Duration::zero())
        next = std::min(next, io::deadline_after(idle_since_, idle_timeout_));
    return next;
}

void Http2Upstream::arm() {
    if (over_) return;
    const io::TimePoint next = due();
    if (linked() && armed_ <= next) return;  // looks again then
    armed_ = next;
    if (next != io::never) reactor_.wheel().schedule(*this, next);
}

void Http2Upstream::expired(io::TimePoint now) {
    if (due() <= now) {
        const bool unanswered = pinging_ && io::deadline_after(pinged_at_, ping_time) <= now;
        if (unanswered) {
            connection_->socket().cancel();
        } else if (!session_.acknowledged() && io::deadline_after(started_, settings_time) <= now) {
            session_.terminate(http::Http2Code::settings_timeout);
        } else if (open_ == 0) {
            retire();
        } else {
            pinging_ = true;
            pinged_at_ = now;
            session_.ping();
        }
        push();
    }
    arm();
}

}  // namespace edgeproxy::proxy
