// SPDX-License-Identifier: Apache-2.0
#include "proxy/probe_http2.hpp"

#include <array>
#include <utility>

namespace edgeproxy::proxy {
namespace {

constexpr std::size_t head_memory = 128 * 1024;  // more than http::response_limits allow

}  // namespace

Http2Probe::Http2Probe(std::string_view head, std::string_view scheme)
    : memory_(head_memory), stream_(trailers_), session_(*this) {
    trailers_.clear();
    stream_.answer.begin(memory_);
    session_.request(stream_, head, scheme, {}, true, {});
}

Http2Probe::~Http2Probe() {
    session_.forget(stream_);
}

void Http2Probe::head_done(http::Http2ClientStream& stream) {
    while (stream.answer.waiting() > 0) {
        if (stream.answer.read(http::Method::get, response_) != http::errc::ok) return;
        if (!response_.interim()) status_ = response_.status;
    }
}

bool Http2Probe::data(http::Http2ClientStream&, std::string_view bytes) {
    unused_ += bytes.size();
    return true;
}

void Http2Probe::feed(std::string_view bytes) {
    session_.feed(bytes, std::chrono::steady_clock::now());
    session_.consume(stream_, std::exchange(unused_, 0));
}

std::string Http2Probe::take_output() {
    std::string out;
    std::array<char, 2 * http::Http2ClientSession::frame_room> room;
    while (const std::size_t size = session_.write(room)) out.append(room.data(), size);
    return out;
}

bool Http2Probe::over() const {
    return complete() || stream_.closed() || stream_.malformed() || !session_.wants_input();
}

}  // namespace edgeproxy::proxy
