// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "proxy/http/http2_library.hpp"
#include "proxy/http/http2_session.hpp"

// The half of the session that sends.
namespace edgeproxy::http {
namespace {

/// So often an answer puts the name of the request id into the client's table, out of which other fields push it.
constexpr unsigned answers_per_name = 64;

constexpr std::uint32_t code_of(Http2Code code) {
    return static_cast<std::uint32_t>(code);
}

}  // namespace

std::size_t Http2Session::write(std::span<char> out) {
    const std::size_t written = frames_.write(session_.get(), out);
    if (!settings_written_ && written > 0) announce_streams(out.first(written));
    tell_waste();
    return written;
}

// The library was told of more streams than the client is to know of; see spare_streams.
void Http2Session::announce_streams(std::span<char> output) {
    constexpr std::size_t type_at = 3, first_entry = 9, value_at = first_entry + 2;
    settings_written_ = true;
    if (output.size() < value_at + 4 || output[type_at] != NGHTTP2_SETTINGS) return;
    if (output[first_entry + 1] != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) return;
    for (std::size_t i = 0; i < 4; ++i) output[value_at + i] = static_cast<char>(options_.max_streams >> (24 - 8 * i));
}

void Http2Session::trailers_follow(Http2Stream& stream) {
    ++stream.heads_pending_;
}

void Http2Session::put_data(Http2Stream& stream, const std::uint8_t* frame_head, std::size_t size) {
    frames_.put_data(frame_head, stream.out_.data, size);
    if (size > 0 && stream.out_.data.empty()) budget_.delivered();
}

void Http2Session::went_out(Http2Stream& stream, bool is_head, bool ended) {
    if (is_head && stream.heads_pending_ > 0) --stream.heads_pending_;
    if (ended) stream.out_.ended = true;
    if (stream.output_taken()) events_.output_taken(stream);
}

void Http2Session::stream_closed(Http2Stream& stream) {
    stream.closed_ = true;
    stream.out_.drop();
    events_.closed(stream);
}

void Http2Session::interim(Http2Stream& stream, unsigned status, std::span<const Field> fields) {
    if (stream.closed_) return;
    Http2FieldList list;
    list.add_status(status);
    list.add(fields);
    const auto submitted = nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream.id_, nullptr, list.data(),
                                                  list.size(), nullptr);
    if (submitted == 0) ++stream.heads_pending_;
}

void Http2Session::respond(Http2Stream& stream, unsigned status, std::span<const Field> fields, const Body& body,
                           std::string_view data, bool end) {
    if (stream.closed_) return;
    Http2FieldList list{answers_++ % answers_per_name == 0};
    list.add_status(status);
    list.add(fields);
    if (body.kind == Body::Kind::length) list.add_length(body.length);
    nghttp2_data_provider source{};
    source.read_callback = Http2SharedCallbacks<Http2Session>::next_data;
    const bool has_data = !end || !data.empty();
    const int submitted =
        nghttp2_submit_response(session_.get(), stream.id_, list.data(), list.size(), has_data ? &source : nullptr);
    if (submitted != 0) return refuse_stream(stream.id_, Http2Code::internal_error);
    ++stream.heads_pending_;
    stream.out_.put(data, end, {});
}

void Http2Session::send(Http2Stream& stream, std::string_view data, bool end, std::span<const Field> trailers) {
    if (stream.closed_) return;
    stream.out_.put(data, end, trailers);
    // Fails when it waits for the client's window: then it goes on by itself.
    nghttp2_session_resume_data(session_.get(), stream.id_);
}

void Http2Session::refuse_stream(std::int32_t id, Http2Code code) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, code_of(code));
}

void Http2Session::reset(Http2Stream& stream, Http2Code code) {
    stream.out_.drop();
    if (!stream.closed_) refuse_stream(stream.id_, code);
}

void Http2Session::forget(Http2Stream& stream) {
    found_ = {};
    if (stream.closed_) return;
    nghttp2_session_set_stream_user_data(session_.get(), stream.id_, nullptr);
    if (!stream.out_.ended) {
        refuse_stream(stream.id_, Http2Code::internal_error);
    } else if (!stream.input_ended_) {
        // The answer is complete, the rest of the request is of no use (RFC 9113, section 8.1).
        refuse_stream(stream.id_, Http2Code::no_error);
    }
}

void Http2Session::charge_slow_reader(TimePoint now) {
    now_ = now;
    spend(Glitch::slow_reader);
}

void Http2Session::ping() {
    // Not the PING behind the notice of the end, whose answer means something.
    constexpr std::array<std::uint8_t, 8> mark{1};
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, mark.data());
}

void Http2Session::announce_end() {
    if (announced_ || ending_) return;
    announced_ = true;
    nghttp2_submit_shutdown_notice(session_.get());  // a PING follows it
}

void Http2Session::end_now() {
    if (ending_) return;
    ending_ = true;
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_.get()),
                          NGHTTP2_NO_ERROR, nullptr, 0);
}

void Http2Session::terminate(Http2Code code) {
    if (terminated_) return;
    terminated_ = true;
    nghttp2_session_terminate_session(session_.get(), code_of(code));
}

}  // namespace edgeproxy::http
