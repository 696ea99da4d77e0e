// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_client_session.hpp"

#include <algorithm>
#include <array>

#include "proxy/http/http2_library.hpp"

namespace edgeproxy::http {
namespace {

/// A request's head, of the limits of listeners and some fields of ours, as HPACK might write it at worst.
constexpr std::size_t largest_head = 256 * 1024;

bool is_useful(std::uint8_t type, std::uint8_t flags, std::uint32_t length) {
    switch (type) {
        case NGHTTP2_HEADERS:
        case NGHTTP2_CONTINUATION:
        case NGHTTP2_WINDOW_UPDATE:
        case NGHTTP2_RST_STREAM:
        case NGHTTP2_GOAWAY:
            return true;
        case NGHTTP2_DATA:
            return length > 0 || (flags & NGHTTP2_FLAG_END_STREAM) != 0;
        case NGHTTP2_SETTINGS:
        case NGHTTP2_PING:
            return (flags & NGHTTP2_FLAG_ACK) != 0;
        default:
            return false;  // PRIORITY, and what nobody knows: the library passes over it without a word
    }
}

}  // namespace

/// The bridge: nghttp2's C callbacks to our members.
struct Http2ClientSession::Callbacks : Http2SharedCallbacks<Http2ClientSession> {
    static bool is_of_head(const nghttp2_frame&, const Http2ClientStream& stream) {
        return !stream.answer.final_seen();
    }

    /// Without it nghttp2 would leave such a field out and go on.
    static int invalid_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*, std::size_t,
                              const std::uint8_t*, std::size_t, std::uint8_t, void* user) {
        Http2ClientSession& session = self(user);
        if (Http2ClientStream* const stream = session.find(frame->hd.stream_id)) session.malformed(*stream);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }

    static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
        Http2ClientSession& session = self(user);
        if (Http2ClientStream* const stream = session.find(frame->hd.stream_id)) stream->malformed_ = true;
        return 0;
    }

    static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Http2ClientSession& session = self(user);
        const bool acknowledges = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        if (frame->hd.type == NGHTTP2_SETTINGS) (acknowledges ? session.acknowledged_ : session.greeted_) = true;
        if (frame->hd.type == NGHTTP2_PING && acknowledges) session.events_.pong();
        if (frame->hd.type == NGHTTP2_GOAWAY) session.going_away_ = true;
        Http2ClientStream* const stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        if (frame->hd.type == NGHTTP2_RST_STREAM) stream->reset_by_peer_ = true;
        const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (frame->hd.type == NGHTTP2_HEADERS && !stream->answer.final_seen()) session.head_ended(*stream, ended);
        const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
        if (may_end && ended && !stream->malformed_) {
            stream->input_ended_ = true;
            session.events_.input_ended(*stream);
        }
        return 0;
    }

    static int data_chunk(nghttp2_session* library, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                          std::size_t size, void* user) {
        Http2ClientSession& session = self(user);
        Http2ClientStream* const stream = session.find(id);
        if (stream != nullptr && !stream->malformed_) {
            if (session.events_.data(*stream, text(data, size))) return 0;
            session.malformed(*stream);
        }
        return nghttp2_session_consume(library, id, size);
    }

    static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Http2ClientSession& session = self(user);
        const bool head = frame->hd.type == NGHTTP2_HEADERS;
        if (!head && frame->hd.type != NGHTTP2_DATA) return 0;
        ++session.useful_;
        Http2ClientStream* const stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        stream->head_sent_ = true;
        session.went_out(*stream, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
        return 0;
    }

    static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
        Http2ClientSession& session = self(user);
        if (Http2ClientStream* const stream = session.find(id)) session.stream_closed(*stream, code);
        return 0;
    }
};

Http2ClientSession::Http2ClientSession(Http2ClientEvents& events, const Http2Heap* heap) : events_(events) {
    Http2Library library(
        {.continuations = max_continuations, .settings = max_settings, .acks = max_waiting_acks, .head = largest_head},
        heap);
    Callbacks::set(library.callbacks());
    nghttp2_session* session = nullptr;
    check(nghttp2_session_client_new3(&session, library.callbacks(), this, library.option(), library.memory()));
    session_.reset(session);

    constexpr std::uint32_t head_list = response_limits.header_bytes;
    const std::array<nghttp2_settings_entry, 3> settings{{
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, head_list},
    }};
    check(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size()));
    check(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, connection_window));
}

Http2ClientSession::~Http2ClientSession() = default;

void Http2ClientSession::feed(std::string_view bytes, TimePoint now) {
    now_ = now;
    if (!wants_input()) return;
    count_frames(bytes);
    if (!wants_input()) return;
    const ssize_t used =
        nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    const bool crowded = nghttp2_session_get_outbound_queue_size(session_.get()) > max_waiting_frames;
    if (used == NGHTTP2_ERR_FLOODED || crowded) {
        misbehaved_ = true;
        terminate(Http2Code::enhance_your_calm);
    } else if (used < 0) {
        frames_.fail();
        misbehaved_ = true;
    }
}

bool Http2ClientSession::misbehaved() const {
    // The library ends the connection by itself only for an error of the server.
    return misbehaved_ || (!terminated_ && !going_away_ && nghttp2_session_want_read(session_.get()) == 0);
}

bool Http2ClientSession::wants_input() const {
    return !frames_.failed() && !terminated_ && nghttp2_session_want_read(session_.get()) != 0;
}

unsigned Http2ClientSession::allowed_streams() const {
    if (!greeted_ || closing()) return 0;
    const std::uint32_t theirs =
        nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return std::min<std::uint32_t>(theirs, max_streams);
}

bool Http2ClientSession::closing() const {
    return going_away_ || !wants_input() ||
           static_cast<std::int32_t>(nghttp2_session_get_next_stream_id(session_.get())) > last_id;
}

Http2ClientStream* Http2ClientSession::find(std::int32_t id) const {
    return static_cast<Http2ClientStream*>(nghttp2_session_get_stream_user_data(session_.get(), id));
}

void Http2ClientSession::count_frames(std::string_view bytes) {
    while (!bytes.empty()) {
        if (skip_ > 0) {
            const auto part = std::min<std::uint64_t>(skip_, bytes.size());
            bytes.remove_prefix(static_cast<std::size_t>(part));
            skip_ -= part;
            continue;
        }
        head_[have_++] = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        if (have_ < head_.size()) continue;
        have_ = 0;
        const std::uint32_t length = std::uint32_t{head_[0]} << 16 | std::uint32_t{head_[1]} << 8 | head_[2];
        skip_ = length;
        if (head_[3] == NGHTTP2_PUSH_PROMISE) {
            // Switched off, but the library believes that only once the server has acknowledged it.
            misbehaved_ = true;
            terminate(Http2Code::protocol_error);
        } else if (is_useful(head_[3], head_[4], length)) {
            ++useful_;
        } else {
            talk();
        }
    }
}

void Http2ClientSession::talk() {
    if (++talk_ <= small_talk * useful_ || budget_.take(now_)) return;
    misbehaved_ = true;
    terminate(Http2Code::enhance_your_calm);
}

int Http2ClientSession::take_field(Http2ClientStream& stream, std::string_view name, std::string_view value) {
    for (;;) {
        switch (stream.answer.add(name, value)) {
            case Http2Answer::Taken::ok:
                return 0;
            case Http2Answer::Taken::full:
                if (events_.more_memory(stream)) break;
                malformed(stream);
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            case Http2Answer::Taken::malformed:
                malformed(stream);
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
}

void Http2ClientSession::take_trailer(Http2ClientStream& stream, std::string_view name, std::string_view value) {
    if (stream.malformed_) return;
    if (!is_trailer(name, value) || !stream.trailers_in_.push(name, value)) malformed(stream);
}

void Http2ClientSession::head_ended(Http2ClientStream& stream, bool ended) {
    if (stream.answer.end_head(ended)) {
        events_.head_done(stream);
    } else {
        malformed(stream);
    }
}

void Http2ClientSession::malformed(Http2ClientStream& stream) {
    stream.malformed_ = true;
    submit_reset(stream, Http2Code::protocol_error);
}

void Http2ClientSession::consume(Http2ClientStream& stream, std::size_t size) {
    if (size > 0) nghttp2_session_consume(session_.get(), stream.id_, size);
}

void Http2ClientSession::stream_closed(Http2ClientStream& stream, std::uint32_t code) {
    stream.closed_ = true;
    stream.out_.drop();
    stream.refused_ = !stream.head_sent_ || (code == NGHTTP2_REFUSED_STREAM && !stream.answer.final_seen());
    // The library resets what breaks a rule; what we reset ourselves has another code.
    const bool rules =
        code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED;
    if (rules && !stream.reset_by_peer_ && !stream.input_ended_) stream.malformed_ = true;
    events_.closed(stream);
}

}  // namespace edgeproxy::http
