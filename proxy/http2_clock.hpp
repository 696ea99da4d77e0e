// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "proxy/min_rate.hpp"
#include "tls/io/clock.hpp"

namespace edgeproxy::proxy {

/// What time asks of one HTTP/2 connection, apart from the deadline of its next read. Pure: it is told what happens and
/// says what is due.
///
/// Whoever owns it wakes up at `next` and then calls `due` until nothing is. Costs two stores for each read while all
/// is well.
class Http2Clock {
 public:
    struct Lengths {
        io::Duration settings_ack{};   ///< until our SETTINGS are acknowledged
        io::Duration ping_interval{};  ///< silence of a client with open streams, then it is asked for a sign of life;
                                       ///< zero = never
        io::Duration ping{};           ///< ... and has so long to give one
        io::Duration stall{};          ///< nothing got through while all open streams waited; zero = for ever
        MinRate rate;                  ///< how fast it has to take what is in the output
    };
    /// Between the word that the connection will end and the end of taking new streams, if the client does not answer.
    static constexpr io::Duration goodbye_time = std::chrono::seconds(1);
    /// Between the word that it has ended for the client's fault and its close, whatever the client does.
    static constexpr io::Duration last_word_time = std::chrono::milliseconds(900);

    enum class Due : std::uint8_t {
        nothing,
        settings_ack,  ///< it never acknowledged: end
        ping,          ///< send one
        ping_answer,   ///< it is dead: end
        age,           ///< say goodbye
        goodbye,       ///< take no more streams
        slow_reader,   ///< end, nothing can be told any more
        stall,         ///< end
        close          ///< it has had the time to take our last words
    };

    /// `old_at`: when the connection has had its time; `never` for no limit.
    Http2Clock(const Lengths& lengths, io::TimePoint now, io::TimePoint old_at)
        : lengths_(lengths),
          output_(lengths.rate),
          settings_at_(io::deadline_after(now, lengths.settings_ack)),
          heard_(now),
          old_at_(old_at) {}

    /// Bytes of the client came.
    void heard(io::TimePoint now) {
        heard_ = now;
        pinged_ = false;
    }
    void settings_acknowledged() { settings_at_ = io::never; }
    void said_goodbye(io::TimePoint now) { goodbye_at_ = now + goodbye_time; }
    /// The connection is over for a fault of the client: it will be closed soon.
    void said_last_word(io::TimePoint now) {
        if (close_at_ == io::never) close_at_ = now + last_word_time;
    }
    /// The output waits for the client to take it.
    void output_waits(io::TimePoint now) { output_.start(now); }
    /// It took all of it, so many bytes.
    void output_left(io::TimePoint now, std::uint64_t bytes) {
        output_.moved(now, bytes);
        output_.stop(now);
    }
    /// Every open stream has something to say that the client's windows hold back.
    void all_wait(io::TimePoint now) {
        if (stalled_at_ == io::never) stalled_at_ = io::deadline_after(now, lengths_.stall);
    }
    /// One of them went on.
    void one_moves() { stalled_at_ = io::never; }

    /// What is due, the worst first; the caller does it. `open`: there are open streams.
    Due due(io::TimePoint now, bool open) {
        if (passes(close_at_, now)) return Due::close;
        if (output_.late(now)) return Due::slow_reader;
        if (settings_at_ <= now) return Due::settings_ack;
        if (pinged_ && ping_at_ + lengths_.ping <= now) return Due::ping_answer;
        if (stalled_at_ <= now) return Due::stall;
        if (passes(goodbye_at_, now)) return Due::goodbye;
        if (passes(old_at_, now)) return Due::age;
        const bool silent = lengths_.ping_interval > io::Duration::zero() && heard_ + lengths_.ping_interval <= now;
        if (pinged_ || !open || !silent) return Due::nothing;
        pinged_ = true;
        ping_at_ = now;
        return Due::ping;
    }
    /// When a connection that is over for the client's fault is closed; `never` for one that is not.
    io::TimePoint close_at() const { return close_at_; }
    /// When to look again, at the latest; later than `now`.
    io::TimePoint next(io::TimePoint now) const {
        io::TimePoint silence = io::deadline_after(heard_, lengths_.ping_interval);
        if (pinged_) silence = ping_at_ + lengths_.ping;
        if (silence <= now) silence = now + lengths_.ping_interval;  // nobody waits for an answer
        return std::min({output_.deadline(), settings_at_, stalled_at_, goodbye_at_, close_at_, old_at_, silence});
    }

 private:
    /// True once.
    static bool passes(io::TimePoint& point, io::TimePoint now) {
        if (point > now) return false;
        point = io::never;
        return true;
    }

    Lengths lengths_;
    RateWatch output_;
    io::TimePoint settings_at_;
    io::TimePoint heard_;
    io::TimePoint old_at_;
    io::TimePoint ping_at_{};
    io::TimePoint goodbye_at_ = io::never;
    io::TimePoint stalled_at_ = io::never;
    io::TimePoint close_at_ = io::never;
    bool pinged_ = false;
};

}  // namespace edgeproxy::proxy
