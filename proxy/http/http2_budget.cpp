// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http2_budget.hpp"

namespace edgeproxy::http {
namespace {

// Frame types (RFC 9113, section 6; RFC 9218, section 7.1).
constexpr unsigned data = 0, headers = 1, priority = 2, rst_stream = 3, settings = 4, push_promise = 5, ping = 6,
                   go_away = 7, window_update = 8, continuation = 9, priority_update = 16;
constexpr unsigned flag_end_stream = 1;

/// One of what was earned, if there is any.
bool use(unsigned& free) {
    if (free == 0) return false;
    --free;
    return true;
}

}  // namespace

std::string_view word(Glitch glitch) {
    constexpr std::array<std::string_view, glitches> words{
        "client_reset", "server_reset",  "refused_stream", "slow_reader",   "ping",
        "settings",     "empty_data",    "stray_headers",  "priority",      "window_update",
        "goaway",       "unknown_frame", "continuation",   "outbound_queue"};
    return words[static_cast<std::size_t>(glitch)];
}

void Http2Budget::frame(const Http2FrameHead& frame, TimePoint now) {
    switch (frame.type) {
        case headers:
            continuations_ = 0;
            break;
        case push_promise:  // ends the connection anyway
            break;
        case data:
            if (frame.length == 0 && (frame.flags & flag_end_stream) == 0) spend(Glitch::empty_data, now);
            break;
        case priority:
        case priority_update:
            if (++priorities_ > 2 * streams_) spend(Glitch::priority, now);
            break;
        case rst_stream:
            // Each stream once; whether that was a waste is told by its end.
            if (++resets_ > streams_) spend(Glitch::client_reset, now);
            break;
        case settings:
            if (!settings_.take(now)) spend(Glitch::settings, now);
            break;
        case ping:
            if (!use(free_pings_) && !pings_.take(now)) spend(Glitch::ping, now);
            break;
        case go_away:
            if (std::exchange(leaving_, true)) spend(Glitch::goaway, now);
            break;
        case window_update:
            if (frame.word < small_increment && !use(free_updates_) && !small_updates_.take(now))
                spend(Glitch::window_update, now);
            break;
        case continuation:
            if (++continuations_ > max_continuations) spend_all(Glitch::continuation);
            break;
        default:
            spend(Glitch::unknown_frame, now);
    }
}

}  // namespace edgeproxy::http
