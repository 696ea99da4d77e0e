// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_session.hpp"

#include <algorithm>
#include <array>

#include "proxy/http/http2_library.hpp"

namespace edgeproxy::http {
namespace {

/// nghttp2 ends the connection of a client that passes its limit of streams; RFC 9113 (section 5.1.2) wants the stream
/// refused. So it is told of so many more than are announced, and we refuse.
constexpr unsigned spare_streams = 256;

/// The library's own bounds lie behind ours, which tell ENHANCE_YOUR_CALM.
constexpr std::uint64_t behind = 2;

/// An answer's head, of `response_limits` and some fields of ours, as HPACK might write it at worst.
constexpr std::size_t largest_head = 128 * 1024;

}  // namespace

/// The bridge: nghttp2's C callbacks to our members.
struct Http2Session::Callbacks : Http2SharedCallbacks<Http2Session> {
    static bool is_of_head(const nghttp2_frame& frame, const Http2Stream&) {
        return frame.headers.cat == NGHTTP2_HCAT_REQUEST;
    }

    static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
        Http2Session& session = self(user);
        const bool headers = head->type == NGHTTP2_HEADERS;
        session.in_head_ = headers || (head->type == NGHTTP2_CONTINUATION && session.in_head_);
        return 0;
    }

    static int begin_headers(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
        Http2Session& session = self(user);
        if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
        const std::int32_t id = frame->hd.stream_id;
        Http2Stream* const stream = session.terminated_ ? nullptr : session.events_.opened(id);
        if (stream == nullptr) {
            session.refuse_stream(id, Http2Code::refused_stream);
            session.spend(Glitch::refused_stream);
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        nghttp2_session_set_stream_user_data(library, id, stream);
        session.found_ = {id, stream};
        return 0;
    }

    /// Without it nghttp2 would leave such a field out and go on.
    static int invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                              const std::uint8_t*, std::size_t, std::uint8_t, void*) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }

    static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
        Http2Session& session = self(user);
        if (frame->hd.type == NGHTTP2_HEADERS) session.events_.malformed(errc::bad_field);
        if (frame->hd.type == NGHTTP2_DATA) session.events_.malformed(errc::bad_length);
        session.in_head_ = false;
        return 0;
    }

    static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Http2Session& session = self(user);
        const bool acknowledges = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        session.in_head_ = false;
        if (frame->hd.type == NGHTTP2_PING && acknowledges && session.announced_ && frame->ping.opaque_data[0] == 0)
            session.end_now();
        if (frame->hd.type == NGHTTP2_SETTINGS && acknowledges) session.settings_acknowledged_ = true;
        Http2Stream* const stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            session.head_ended(*stream, ended);
        } else if (frame->hd.type == NGHTTP2_RST_STREAM && !stream->out_.ended) {
            session.spend(Glitch::client_reset);
        } else if (frame->hd.type == NGHTTP2_DATA && !ended && frame->hd.length > 0 &&
                   frame->data.padlen == frame->hd.length) {
            session.spend(Glitch::empty_data);  // nothing but padding
        }
        const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
        if (may_end && ended) session.end_input(*stream);
        return 0;
    }

    static int data_chunk(nghttp2_session* library, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                          std::size_t size, void* user) {
        Http2Session& session = self(user);
        Http2Stream* const stream = session.find(id);
        const bool taken = stream != nullptr && session.take_data(*stream, text(data, size));
        return taken ? 0 : nghttp2_session_consume(library, id, size);
    }

    static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Http2Session& session = self(user);
        const std::int32_t id = frame->hd.stream_id;
        if (frame->hd.type == NGHTTP2_RST_STREAM) {
            // What the client caused costs it; what we gave up ourselves does not. Refused streams have paid already.
            const std::uint32_t code = frame->rst_stream.error_code;
            const bool ours = code == NGHTTP2_NO_ERROR || code == NGHTTP2_INTERNAL_ERROR || code == NGHTTP2_CANCEL;
            if (!ours && code != NGHTTP2_REFUSED_STREAM) session.spend(Glitch::server_reset);
        }
        if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
            session.fault_ == Http2Fault::none && !session.terminated_)
            session.fault_ = Http2Fault::protocol;
        // Behind the notice, so that its answer tells that the notice was read.
        if (frame->hd.type == NGHTTP2_GOAWAY && session.announced_ && !session.ending_)
            nghttp2_submit_ping(session.session_.get(), NGHTTP2_FLAG_NONE, nullptr);
        const bool head = frame->hd.type == NGHTTP2_HEADERS;
        if (!head && frame->hd.type != NGHTTP2_DATA) return 0;
        const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (Http2Stream* const stream = session.find(id)) session.went_out(*stream, head, ended);
        return 0;
    }

    static int frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
        // A head that is too large, say. Without it the stream has no answer.
        if (frame->hd.type == NGHTTP2_HEADERS) self(user).refuse_stream(frame->hd.stream_id, Http2Code::internal_error);
        return 0;
    }

    static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
        Http2Session& session = self(user);
        if (Http2Stream* const stream = session.find(id)) session.stream_closed(*stream);
        session.found_ = {};
        return 0;
    }

    static void set(nghttp2_session_callbacks* all) {
        Http2SharedCallbacks::set(all);
        nghttp2_session_callbacks_set_on_begin_frame_callback(all, guarded<begin_frame>);
        nghttp2_session_callbacks_set_on_begin_headers_callback(all, guarded<begin_headers>);
        nghttp2_session_callbacks_set_on_frame_not_send_callback(all, guarded<frame_not_sent>);
    }
};

Http2Session::Http2Session(Http2Events& events, const Http2Options& options)
    : events_(events), options_(options), budget_(options.glitch_burst, options.glitch_rate) {
    Http2Library library({.continuations = behind * Http2Budget::max_continuations,
                          .settings = max_settings,
                          .acks = max_waiting_acks,
                          .head = largest_head},
                         options_.heap);
    Callbacks::set(library.callbacks());
    nghttp2_option_set_stream_reset_rate_limit(library.option(), behind * options_.glitch_burst,
                                               std::max(std::uint64_t{1}, behind * options_.glitch_rate));
    nghttp2_session* session = nullptr;
    check(nghttp2_session_server_new3(&session, library.callbacks(), this, library.option(), library.memory()));
    session_.reset(session);

    const Limits& limits = options_.limits;
    const std::array<nghttp2_settings_entry, 5> settings{{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_streams + spare_streams},  // first: announce_streams
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes + limits.request_line)},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    }};
    check(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size()));
    check(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                static_cast<std::int32_t>(options_.connection_window)));
}

Http2Session::~Http2Session() = default;

void Http2Session::feed(std::string_view bytes, TimePoint now) {
    now_ = now;
    while (!bytes.empty() && wants_input()) {
        const std::size_t part = order_.follow(bytes, budget_, now);
        feed_library(bytes.substr(0, part));
        bytes.remove_prefix(part);
        if (order_.fault() == Http2Order::Fault::closed) fail(Http2Fault::protocol, Http2Code::stream_closed);
        if (order_.fault() == Http2Order::Fault::malformed) fail(Http2Fault::protocol, Http2Code::protocol_error);
        if (const std::uint32_t id = order_.take_self_dependent(); id != 0)
            refuse_stream(static_cast<std::int32_t>(id), Http2Code::protocol_error);
        obey_budget();
    }
    tell_waste();
}

void Http2Session::feed_library(std::string_view bytes) {
    const ssize_t used =
        nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    const bool flooded =
        used == NGHTTP2_ERR_FLOODED || nghttp2_session_get_outbound_queue_size(session_.get()) > max_waiting_frames;
    if (flooded) {
        budget_.spend_all(Glitch::outbound_queue);
    } else if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        fail(Http2Fault::protocol, Http2Code::protocol_error);
    } else if (used < 0) {
        frames_.fail();
        fault_ = Http2Fault::protocol;
    }
}

void Http2Session::obey_budget() {
    if (!budget_.spent()) return;
    switch (budget_.ended_by()) {
        case Glitch::continuation:
            return fail(Http2Fault::continuation, Http2Code::enhance_your_calm);
        case Glitch::outbound_queue:
            return fail(Http2Fault::outbound_queue, Http2Code::enhance_your_calm);
        default:
            return fail(Http2Fault::glitches, Http2Code::enhance_your_calm);
    }
}

void Http2Session::tell_waste() {
    if (!budget_.has_news()) return;
    budget_.told();
    for (std::size_t i = 0; i < glitches; ++i) {
        const auto glitch = static_cast<Glitch>(i);
        if (const std::uint32_t times = budget_.take_count(glitch); times > 0) events_.wasted(glitch, times);
    }
}

void Http2Session::fail(Http2Fault fault, Http2Code code) {
    if (fault_ == Http2Fault::none && !terminated_) fault_ = fault;
    terminate(code);
}

bool Http2Session::wants_input() const {
    return !frames_.failed() && !terminated_ && nghttp2_session_want_read(session_.get()) != 0;
}

Http2Stream* Http2Session::find(std::int32_t id) {
    if (found_.stream == nullptr || found_.id != id)
        found_ = {id, static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_.get(), id))};
    return found_.stream;
}

void Http2Session::spend(Glitch glitch) {
    budget_.spend(glitch, now_);
    obey_budget();
}

int Http2Session::take_field(Http2Stream& stream, std::string_view name, std::string_view value) {
    for (;;) {
        switch (stream.head.add(name, value)) {
            case Http2Head::Taken::ok:
                return 0;
            case Http2Head::Taken::full:
                if (!events_.more_memory(stream)) stream.head.refuse(errc::head_too_large);
                break;
            case Http2Head::Taken::malformed:
                events_.malformed(errc::bad_field);
                refuse_stream(stream.id_, Http2Code::protocol_error);
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            case Http2Head::Taken::flood:
                events_.malformed(errc::head_too_large);
                refuse_stream(stream.id_, Http2Code::enhance_your_calm);
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
}

void Http2Session::take_trailer(Http2Stream& stream, std::string_view name, std::string_view value) {
    if (stream.input_error_ != errc::ok) return;
    if (!is_trailer(name, value)) {
        stream.input_error_ = errc::bad_trailer;
    } else if (!stream.trailers_in_.push(name, value)) {
        stream.input_error_ = errc::trailer_too_large;
    }
    if (stream.input_error_ != errc::ok) events_.malformed(stream.input_error_);
}

void Http2Session::head_ended(Http2Stream& stream, bool ended) {
    const errc error = stream.head.finish(ended);
    stream.body_ = stream.head.body();
    events_.head_done(stream, error);
}

bool Http2Session::take_data(Http2Stream& stream, std::string_view bytes) {
    stream.received_ += bytes.size();
    const bool too_much = stream.body_.kind == Body::Kind::length && stream.received_ > stream.body_.length;
    if (!too_much && events_.data(stream, bytes)) return true;
    refuse_stream(stream.id_, too_much ? Http2Code::protocol_error : Http2Code::flow_control_error);
    return false;
}

void Http2Session::end_input(Http2Stream& stream) {
    if (stream.input_ended_) return;
    if (stream.body_.kind == Body::Kind::length && stream.received_ != stream.body_.length) {
        refuse_stream(stream.id_, Http2Code::protocol_error);
        return;
    }
    stream.input_ended_ = true;
    events_.input_ended(stream);
}

void Http2Session::consume(Http2Stream& stream, std::size_t size) {
    if (size == 0) return;
    nghttp2_session_consume(session_.get(), stream.id_, size);
    if (stream.closed_ || stream.input_ended_) return;
    const std::uint32_t window = stream.window_ > 0 ? stream.window_ : options_.stream_window;
    stream.consumed_ += static_cast<std::uint32_t>(size);
    if (stream.consumed_ < window || window >= largest_window()) return;
    stream.consumed_ = 0;
    stream.window_ = std::min(2 * window, largest_window());
    nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, stream.id_,
                                          static_cast<std::int32_t>(stream.window_));
}

}  // namespace edgeproxy::http
