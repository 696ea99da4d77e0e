// SPDX-License-Identifier: Apache-2.0
#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "proxy/http/http2_field_list.hpp"
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

struct Http2Session::DataSource {
    static ssize_t read(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t most, std::uint32_t* flags,
                        nghttp2_data_source*, void* user) {
        Http2Session& session = *static_cast<Http2Session*>(user);
        Http2Stream* const stream = session.find(id);
        if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        return session.next_data(*stream, most, *flags);
    }
};

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

std::ptrdiff_t Http2Session::next_data(Http2Stream& stream, std::size_t most, std::uint32_t& flags) {
    if (stream.data_.empty() && !stream.last_) return NGHTTP2_ERR_DEFERRED;
    if (!frames_.has_room()) return NGHTTP2_ERR_PAUSE;
    const std::size_t size = std::min(most, stream.data_.size());
    flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size < stream.data_.size() || !stream.last_) return static_cast<std::ptrdiff_t>(size);
    flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailers_out_.empty()) return static_cast<std::ptrdiff_t>(size);
    Http2FieldList list;
    list.add(stream.trailers_out_);
    stream.trailers_out_ = {};
    if (list.size() > 0 && nghttp2_submit_trailer(session_.get(), stream.id_, list.data(), list.size()) == 0) {
        flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        ++stream.heads_pending_;
    }
    return static_cast<std::ptrdiff_t>(size);
}

void Http2Session::put_data(Http2Stream& stream, const std::uint8_t* frame_head, std::size_t size) {
    frames_.put_data(frame_head, stream.data_, size);
    if (size > 0 && stream.data_.empty()) budget_.delivered();
}

void Http2Session::went_out(Http2Stream& stream, bool is_head, bool ended) {
    if (is_head && stream.heads_pending_ > 0) --stream.heads_pending_;
    if (ended) stream.output_ended_ = true;
    if (stream.output_taken()) events_.output_taken(stream);
}

void Http2Session::stream_closed(Http2Stream& stream) {
    stream.closed_ = true;
    stream.data_ = {};
    stream.trailers_out_ = {};
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
    source.read_callback = DataSource::read;
    const bool has_data = !end || !data.empty();
    const int submitted =
        nghttp2_submit_response(session_.get(), stream.id_, list.data(), list.size(), has_data ? &source : nullptr);
    if (submitted != 0) return refuse_stream(stream.id_, Http2Code::internal_error);
    ++stream.heads_pending_;
    stream.data_ = data;
    stream.last_ = end;
}

void Http2Session::send(Http2Stream& stream, std::string_view data, bool end, std::span<const Field> trailers) {
    if (stream.closed_) return;
    stream.data_ = data;
    stream.last_ = end;
    if (end) stream.trailers_out_ = trailers;
    // Fails when it waits for the client's window: then it goes on by itself.
    nghttp2_session_resume_data(session_.get(), stream.id_);
}

void Http2Session::refuse_stream(std::int32_t id, Http2Code code) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, code_of(code));
}

void Http2Session::reset(Http2Stream& stream, Http2Code code) {
    stream.data_ = {};
    stream.trailers_out_ = {};
    if (!stream.closed_) refuse_stream(stream.id_, code);
}

void Http2Session::forget(Http2Stream& stream) {
    found_ = {};
    if (stream.closed_) return;
    nghttp2_session_set_stream_user_data(session_.get(), stream.id_, nullptr);
    if (!stream.output_ended_) {
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
