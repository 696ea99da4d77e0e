// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "proxy/http/http2_client_session.hpp"
#include "proxy/http/http2_library.hpp"

// The half of the client's session that sends.
namespace edgeproxy::http {
namespace {

constexpr std::string_view line_end = "\r\n";

/// Cuts `text` up to `mark` off its front, and the mark.
std::string_view cut(std::string_view& text, std::string_view mark) {
    const std::size_t at = std::min(text.find(mark), text.size());
    const std::string_view front = text.substr(0, at);
    text.remove_prefix(std::min(text.size(), at + mark.size()));
    return front;
}

}  // namespace

bool http2_request_fields(std::string_view head, std::string_view scheme, Http2FieldList& list) {
    std::string_view line = cut(head, line_end);
    const std::string_view method = cut(line, " "), target = cut(line, " ");
    if (method.empty() || target.empty() || line.empty()) return false;
    std::string_view authority;
    for (std::string_view rest = head; authority.empty() && !rest.empty();) {
        std::string_view field = cut(rest, line_end);
        if (iequals(cut(field, ": "), "host")) authority = field;
    }
    list.add(":method", method);
    list.add(":scheme", scheme);
    if (!authority.empty()) list.add(":authority", authority);
    list.add(":path", target);
    while (!head.empty()) {
        std::string_view value = cut(head, line_end);
        if (value.empty()) break;
        const std::string_view name = cut(value, ": ");
        const FieldId id = lookup(name);
        if (id == FieldId::te) {
            list.add("te", "trailers");
        } else if (id != FieldId::host && !has_trait(id, hop_by_hop)) {
            list.add(name, value, id);
        }
    }
    return true;
}

std::size_t Http2ClientSession::write(std::span<char> out) {
    return frames_.write(session_.get(), out);
}

void Http2ClientSession::went_out(Http2ClientStream& stream, bool ended) {
    if (ended) stream.out_.ended = true;
    if (stream.output_taken()) events_.output_taken(stream);
}

bool Http2ClientSession::request(Http2ClientStream& stream, std::string_view head, std::string_view scheme,
                                 std::string_view data, bool end, std::span<const Field> trailers) {
    Http2FieldList list;
    if (!http2_request_fields(head, scheme, list)) return false;
    nghttp2_data_provider source{};
    source.read_callback = Http2SharedCallbacks<Http2ClientSession>::next_data;
    stream.out_.put(data, end, trailers);
    const bool has_data = !end || !data.empty() || !trailers.empty();
    const std::int32_t id = nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                                                   has_data ? &source : nullptr, &stream);
    if (id < 0) return false;
    stream.id_ = id;
    return true;
}

void Http2ClientSession::send(Http2ClientStream& stream, std::string_view data, bool end,
                              std::span<const Field> trailers) {
    if (stream.closed_) return;
    stream.out_.put(data, end, trailers);
    // Fails when it waits for the server's window: then it goes on by itself.
    nghttp2_session_resume_data(session_.get(), stream.id_);
}

void Http2ClientSession::submit_reset(const Http2ClientStream& stream, Http2Code code) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.id_, static_cast<std::uint32_t>(code));
}

void Http2ClientSession::reset(Http2ClientStream& stream, Http2Code code) {
    stream.out_.drop();
    if (!stream.closed_ && stream.id_ != 0) submit_reset(stream, code);
}

void Http2ClientSession::forget(Http2ClientStream& stream) {
    if (stream.closed_ || stream.id_ == 0) return;
    nghttp2_session_set_stream_user_data(session_.get(), stream.id_, nullptr);
    if (!stream.input_ended_ || !stream.out_.ended) submit_reset(stream, Http2Code::cancel);
}

void Http2ClientSession::ping() {
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void Http2ClientSession::terminate(Http2Code code) {
    if (terminated_) return;
    terminated_ = true;
    nghttp2_session_terminate_session(session_.get(), static_cast<std::uint32_t>(code));
}

}  // namespace edgeproxy::http
