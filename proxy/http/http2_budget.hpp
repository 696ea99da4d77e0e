// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace edgeproxy::http {

/// What a client did on an HTTP/2 connection that costs us more than it costs the client.
enum class Glitch : std::uint8_t {
    client_reset,    ///< it reset a stream before the answer was complete, or more streams than it opened
    server_reset,    ///< it made us reset a stream: malformed, too long, a window that overflows
    refused_stream,  ///< it opened a stream above the limit
    slow_reader,     ///< we gave a stream up that it did not read
    ping,            ///< PING above 10 a second
    settings,        ///< SETTINGS above 5 in 10 s
    empty_data,      ///< DATA without a byte and without END_STREAM
    stray_headers,   ///< HEADERS that neither open a stream nor end one
    priority,        ///< PRIORITY or PRIORITY_UPDATE above two a stream
    window_update,   ///< increments below 1 KiB above 100 a second
    goaway,          ///< GOAWAY after GOAWAY
    unknown_frame,   ///< a type of frame that nobody has defined, or not for clients
    continuation,    ///< a ninth CONTINUATION of one head: ends the connection at once
    outbound_queue,  ///< makes us say more than it reads: ends the connection at once
    count_
};
inline constexpr std::size_t glitches = static_cast<std::size_t>(Glitch::count_);
/// For metrics: "client_reset".
std::string_view word(Glitch glitch);

/// So many at once, so many a second in the long run.
class TokenBucket {
 public:
    using TimePoint = std::chrono::steady_clock::time_point;
    constexpr TokenBucket(double burst, double per_second) : burst_(burst), per_second_(per_second), left_(burst) {}

    /// Takes one; false when there is none.
    bool take(TimePoint now) {
        left_ = left(now);
        last_ = now;
        if (left_ < 1) return false;
        left_ -= 1;
        return true;
    }
    double left(TimePoint now) const {
        const std::chrono::duration<double> passed = now - last_;
        return std::min(burst_, left_ + passed.count() * per_second_);
    }

 private:
    double burst_, per_second_, left_;
    TimePoint last_{};
};

/// The beginning of one frame as it came (RFC 9113, section 4.1).
struct Http2FrameHead {
    std::uint32_t length = 0, stream = 0;
    std::uint8_t type = 0, flags = 0;
    std::uint32_t word = 0;  ///< WINDOW_UPDATE: the increment; PRIORITY: the stream it depends on
};

/// What a client may waste on one HTTP/2 connection: one purse for all kinds of waste, so that a new kind finds it
/// nearly empty too. A full purse lets a browser leave a page; a flood empties it. Pure: time comes in.
class Http2Budget {
 public:
    using TimePoint = TokenBucket::TimePoint;
    static constexpr unsigned default_burst = 200;
    static constexpr unsigned default_per_second = 20;
    static constexpr unsigned max_continuations = 8;
    static constexpr std::uint32_t small_increment = 1024;  ///< 1/64 of the window that clients begin with
    static constexpr unsigned updates_per_piece = 2;        ///< of the stream, and of the connection
    static constexpr unsigned most_free = 1000;             ///< that a client may have earned and not used

    explicit Http2Budget(unsigned burst = default_burst, unsigned per_second = default_per_second)
        : reserve_(burst / 4.0), purse_(burst, per_second) {}

    /// A frame of the client; those above what is had for nothing cost one each.
    void frame(const Http2FrameHead& frame, TimePoint now);
    /// A head opened a stream.
    void opened() { ++streams_; }
    /// All that an answer had to say for now went out: a client that acknowledges it, and measures the way meanwhile
    /// (as gRPC does after each small message), owes nothing. What only a narrow window let through earns nothing.
    void delivered() {
        free_updates_ = std::min(free_updates_ + updates_per_piece, most_free);
        free_pings_ = std::min(free_pings_ + 1, most_free);
    }
    /// Takes one.
    void spend(Glitch glitch, TimePoint now) {
        note(glitch);
        if (!purse_.take(now)) end(glitch);
    }
    /// Takes everything.
    void spend_all(Glitch glitch) {
        note(glitch);
        end(glitch);
    }

    /// Nothing is left: the connection is to end with ENHANCE_YOUR_CALM. Stays so.
    bool spent() const { return ended_by_ != Glitch::count_; }
    /// What took the last one.
    Glitch ended_by() const { return ended_by_; }
    /// Three quarters are gone: new streams are to wait a little.
    bool strained(TimePoint now) const { return noted_ && purse_.left(now) < reserve_; }

    /// How often `glitch` was paid for since it was asked last.
    std::uint32_t take_count(Glitch glitch) { return std::exchange(counts_[static_cast<std::size_t>(glitch)], 0); }
    bool has_news() const { return news_; }
    void told() { news_ = false; }

 private:
    void note(Glitch glitch) {
        noted_ = news_ = true;
        ++counts_[static_cast<std::size_t>(glitch)];
    }
    void end(Glitch glitch) {
        if (!spent()) ended_by_ = glitch;
    }

    double reserve_;
    TokenBucket purse_;
    TokenBucket pings_{10, 10}, settings_{5, 0.5}, small_updates_{100, 100};
    std::uint64_t streams_ = 0, priorities_ = 0, resets_ = 0;
    std::array<std::uint32_t, glitches> counts_{};
    unsigned continuations_ = 0;
    unsigned free_updates_ = 0, free_pings_ = 0;  // earned by what was delivered
    Glitch ended_by_ = Glitch::count_;
    bool noted_ = false, news_ = false;
    bool leaving_ = false;  // it has said GOAWAY
};

}  // namespace edgeproxy::http
