// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "proxy/http/http2_budget.hpp"
#include "proxy/http/http2_code.hpp"
#include "proxy/http/http2_frame_writer.hpp"
#include "proxy/http/http2_head.hpp"
#include "proxy/http/http2_heap.hpp"
#include "proxy/http/http2_order.hpp"
#include "proxy/http/http2_outgoing.hpp"
#include "proxy/http/trailers.hpp"

struct nghttp2_session;

namespace edgeproxy::http {

/// One stream as the session sees it: whoever serves its request derives from it and owns it.
///
/// Until the session says `closed`, or the owner calls `Http2Session::forget`, it must not be destroyed or moved.
class Http2Stream {
 public:
    Http2Stream(const Http2Stream&) = delete;
    Http2Stream& operator=(const Http2Stream&) = delete;

    std::int32_t id() const { return id_; }
    /// END_STREAM of the client was seen, and everything before it.
    bool input_ended() const { return input_ended_; }
    /// Our END_STREAM went into the output.
    bool output_ended() const { return out_.ended; }
    /// The session knows it no more.
    bool closed() const { return closed_; }
    /// Everything that `respond`, `interim` and `send` were given went into the output, so its memory is free.
    bool output_taken() const { return heads_pending_ == 0 && out_.taken(); }
    /// Bytes that `respond` or `send` was given and that are not in the output yet.
    std::size_t output_left() const { return out_.data.size(); }
    /// Why the body cannot be used, or ok.
    errc input_error() const { return input_error_; }

    Http2Head head;

 protected:
    explicit Http2Stream(std::int32_t id, Trailers& trailers) : id_(id), trailers_in_(trailers) { trailers.clear(); }
    ~Http2Stream() = default;

 private:
    friend class Http2Session;
    template <class Session>
    friend struct Http2SharedCallbacks;
    std::int32_t id_;
    Trailers& trailers_in_;
    Body body_;
    std::uint64_t received_ = 0;
    std::uint32_t window_ = 0, consumed_ = 0;  // of the client's; consumed since it was last widened
    Http2Outgoing out_;
    unsigned heads_pending_ = 0;  // not in the output yet
    bool input_ended_ = false, closed_ = false;
    errc input_error_ = errc::ok;
};

/// What a session tells whoever owns it. Called from within `feed` and `write`, so it may only take note: no call back
/// into the session.
class Http2Events {
 public:
    /// A request begins; `begin` the new stream's head. Null: refused (RST_STREAM with REFUSED_STREAM).
    virtual Http2Stream* opened(std::int32_t id) = 0;
    /// The head's memory is full: `move_to` a larger one, and true; or false.
    virtual bool more_memory(Http2Stream& stream) = 0;
    /// The head is complete; `error` as of Http2Head::finish.
    virtual void head_done(Http2Stream& stream, errc error) = 0;
    /// Body bytes, valid during the call. `consume` gives their window back to the client. False: no room, which no
    /// client that keeps to its window can cause.
    virtual bool data(Http2Stream& stream, std::string_view bytes) = 0;
    /// The request is complete, trailers and all.
    virtual void input_ended(Http2Stream& stream) = 0;
    /// The stream's `output_taken` became true.
    virtual void output_taken(Http2Stream& stream) = 0;
    /// The stream is over, perhaps too early (`output_ended`, `input_ended` tell). The session has forgotten it.
    virtual void closed(Http2Stream& stream) = 0;
    /// A stream was reset because what the client sent on it is malformed.
    virtual void malformed(errc error) = 0;
    /// The client wasted something, so many times. Told at the end of `feed` and `write`.
    virtual void wasted(Glitch glitch, std::uint32_t times) = 0;

 protected:
    ~Http2Events() = default;
};

struct Http2Options {
    unsigned max_streams = 100;
    std::uint32_t stream_window = 64 * 1024;  ///< of each stream at first
    std::uint32_t connection_window = 1024 * 1024;
    Limits limits;  ///< of heads; must be the ones that heads are begun with
    unsigned glitch_burst = Http2Budget::default_burst;
    unsigned glitch_rate = Http2Budget::default_per_second;
    const Http2Heap* heap = nullptr;  ///< of the library; null is malloc's
};

/// Why a session ends connections by itself.
enum class Http2Fault : std::uint8_t {
    none,
    protocol,       ///< what came is no HTTP/2, or not in its order
    glitches,       ///< the budget is empty
    continuation,   ///< a head in more frames than anybody needs
    outbound_queue  ///< the client asks for more than it reads
};

/// The server's side of one HTTP/2 connection (RFC 9113): bytes in, events out, and the other way round. No I/O, no
/// clock; on top of nghttp2, whose checks are the second layer of ours.
///
/// Every bound is named here or in Http2Head: streams, windows, CONTINUATION and SETTINGS frames, frames that wait to
/// be sent, and everything that is waste (Http2Budget; the library's own limits lie behind it). Frames on streams that
/// the client has ended end the connection (Http2Order). One thread; `events` outlives it.
class Http2Session {
 public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::size_t frame_room = Http2FrameWriter::frame_room;
    static constexpr std::size_t max_waiting_frames = 2000;  ///< of ours; then the connection ends
    static constexpr std::size_t max_settings = 32;
    static constexpr std::size_t max_waiting_acks = 256;

    Http2Session(Http2Events& events, const Http2Options& options);
    ~Http2Session();
    Http2Session(const Http2Session&) = delete;
    Http2Session& operator=(const Http2Session&) = delete;

    /// Takes in bytes of the client, any cut.
    void feed(std::string_view bytes, TimePoint now);
    /// Writes frames into `out` while there are any and room for one; how many bytes.
    std::size_t write(std::span<char> out);
    /// `write` stopped for want of room.
    bool wants_room() const { return frames_.wants_room(); }
    /// The client may still say something of interest. Changes with `feed` and `write`; once false it stays false, and
    /// what `write` has left is the end.
    bool wants_input() const;
    /// In the middle of a header block: nothing else can come before its end.
    bool in_head() const { return in_head_; }
    /// The client has acknowledged our SETTINGS.
    bool settings_acknowledged() const { return settings_acknowledged_; }
    /// The client is wasteful: its new streams are to begin a little later.
    bool strained(TimePoint now) const { return budget_.strained(now); }
    /// Why the session has ended the connection, if it has.
    Http2Fault fault() const { return fault_; }

    /// Of heads.
    const Limits& limits() const { return options_.limits; }
    /// A stream whose body is used as it comes has its window doubled, again and again, up to this: else a client far
    /// away sends one window a round trip. A quarter of the connection's, so that no slow stream holds up the others.
    std::uint32_t largest_window() const { return std::max(options_.stream_window, options_.connection_window / 4); }

    // All of these only note what is to be sent; `write` sends it.

    /// An interim answer.
    void interim(Http2Stream& stream, unsigned status, std::span<const Field> fields);
    /// The final head and the first bytes of the body; names in any case. `end`: that is all. Fields and data must stay
    /// until `output_taken`.
    void respond(Http2Stream& stream, unsigned status, std::span<const Field> fields, const Body& body,
                 std::string_view data, bool end);
    /// More of the body, only after `output_taken`. The same holds for its memory; `trailers` only with `end`.
    void send(Http2Stream& stream, std::string_view data, bool end, std::span<const Field> trailers);
    /// Ends the stream at once; the client can tell it from a clean end unless the answer was complete. What was to be
    /// sent is dropped and its memory free.
    void reset(Http2Stream& stream, Http2Code code);
    /// `size` bytes of a body were used: the client may send as many more, or still more (`largest_window`).
    void consume(Http2Stream& stream, std::size_t size);
    /// The owner is about to destroy the stream; if it is not closed it is reset.
    void forget(Http2Stream& stream);

    /// A stream was given up because the client did not read it.
    void charge_slow_reader(TimePoint now);
    /// Asks the client whether it is still there: it has to answer with something.
    void ping();
    /// Tells the client to open no more streams, and counts it as told once it answers a PING (section 6.8).
    void announce_end();
    /// Takes no more streams, whether the client has answered or not.
    void end_now();
    /// Ends the connection; what is in flight is lost.
    void terminate(Http2Code code);

 private:
    template <class Session>
    friend struct Http2SharedCallbacks;
    struct Callbacks;
    void feed_library(std::string_view bytes);
    void spend(Glitch glitch);
    void obey_budget();
    void tell_waste();
    void fail(Http2Fault fault, Http2Code code);
    void refuse_stream(std::int32_t id, Http2Code code);
    int take_field(Http2Stream& stream, std::string_view name, std::string_view value);
    void take_trailer(Http2Stream& stream, std::string_view name, std::string_view value);
    void head_ended(Http2Stream& stream, bool ended);
    bool take_data(Http2Stream& stream, std::string_view bytes);
    void end_input(Http2Stream& stream);
    void trailers_follow(Http2Stream& stream);
    void put_data(Http2Stream& stream, const std::uint8_t* frame_head, std::size_t size);
    void went_out(Http2Stream& stream, bool is_head, bool ended);
    void stream_closed(Http2Stream& stream);
    void announce_streams(std::span<char> output);
    Http2Stream* find(std::int32_t id);

    Http2Events& events_;
    const Http2Options options_;
    std::unique_ptr<nghttp2_session, Http2Delete> session_;
    Http2Budget budget_;
    Http2Order order_;
    TimePoint now_{};
    Http2FrameWriter frames_;
    struct Found {
        std::int32_t id = 0;
        Http2Stream* stream = nullptr;
    };
    Found found_;           ///< the last stream that was asked for: the next question is mostly about the same
    unsigned answers_ = 0;  ///< final ones, so far
    bool in_head_ = false;
    bool announced_ = false, ending_ = false, terminated_ = false;
    bool settings_written_ = false, settings_acknowledged_ = false;
    Http2Fault fault_ = Http2Fault::none;
};

}  // namespace edgeproxy::http
