// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "proxy/http/http2_answer.hpp"
#include "proxy/http/http2_budget.hpp"
#include "proxy/http/http2_code.hpp"
#include "proxy/http/http2_frame_writer.hpp"
#include "proxy/http/http2_heap.hpp"
#include "proxy/http/http2_outgoing.hpp"
#include "proxy/http/trailers.hpp"

struct nghttp2_session;

namespace edgeproxy::http {

class Http2FieldList;

/// One request and its answer as the client's session sees them: whoever wants the answer derives from it and owns it.
///
/// Until the session says `closed`, or the owner calls `Http2ClientSession::forget`, it must not be destroyed or moved.
class Http2ClientStream {
 public:
    Http2ClientStream(const Http2ClientStream&) = delete;
    Http2ClientStream& operator=(const Http2ClientStream&) = delete;

    /// END_STREAM of the server was seen, and everything before it.
    bool input_ended() const { return input_ended_; }
    /// Our END_STREAM went into the output.
    bool output_ended() const { return out_.ended; }
    /// The session knows it no more.
    bool closed() const { return closed_; }
    /// The server has not looked at the request and will not (RFC 9113, section 8.7): it may be sent again.
    bool refused() const { return refused_; }
    /// What the server sent is malformed.
    bool malformed() const { return malformed_; }
    /// Everything that `request` and `send` were given went into the output, so its memory is free.
    bool output_taken() const { return head_sent_ && out_.taken(); }
    /// Bytes that `request` or `send` was given and that are not in the output yet.
    std::size_t output_left() const { return out_.data.size(); }

    Http2Answer answer;

 protected:
    explicit Http2ClientStream(Trailers& trailers) : trailers_in_(trailers) {}
    ~Http2ClientStream() = default;

 private:
    friend class Http2ClientSession;
    template <class Session>
    friend struct Http2SharedCallbacks;
    Trailers& trailers_in_;
    std::int32_t id_ = 0;
    Http2Outgoing out_;
    bool head_sent_ = false;
    bool input_ended_ = false, closed_ = false, refused_ = false, malformed_ = false;
    bool reset_by_peer_ = false;
};

/// What a client's session tells whoever owns it. Called from within `feed` and `write`, so it may only take note: no
/// call back into the session.
class Http2ClientEvents {
 public:
    /// The memory for heads is full: `answer.move_to` a larger one, and true; or false.
    virtual bool more_memory(Http2ClientStream& stream) = 0;
    /// A head is waiting in `answer`.
    virtual void head_done(Http2ClientStream& stream) = 0;
    /// Body bytes, valid during the call. `consume` gives their window back to the server. False: no room, which no
    /// server that keeps to its window can cause.
    virtual bool data(Http2ClientStream& stream, std::string_view bytes) = 0;
    /// The answer is complete, trailers and all.
    virtual void input_ended(Http2ClientStream& stream) = 0;
    /// The stream's `output_taken` became true.
    virtual void output_taken(Http2ClientStream& stream) = 0;
    /// The stream is over, perhaps too early. The session has forgotten it.
    virtual void closed(Http2ClientStream& stream) = 0;
    /// The server answered a PING of ours.
    virtual void pong() = 0;

 protected:
    ~Http2ClientEvents() = default;
};

/// The client's side of one HTTP/2 connection (RFC 9113): bytes in, events out, and the other way round. No I/O, no
/// clock; on top of nghttp2.
///
/// A server is trusted no more than a client: heads are bounded by `response_limits`, bodies by their windows,
/// CONTINUATION and SETTINGS frames and what waits to be sent by the numbers here, frames without use by their share of
/// the useful ones (`small_talk`). Pushes are an error. One thread; `events` outlives it.
class Http2ClientSession {
 public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr unsigned max_streams = 100;  ///< at once, whatever the server would allow
    static constexpr std::uint32_t stream_window = 64 * 1024;
    /// Streams whose readers are slow must not hold up the others.
    static constexpr std::uint32_t connection_window = max_streams * stream_window;
    static constexpr std::size_t frame_room = Http2FrameWriter::frame_room;
    static constexpr std::size_t max_waiting_frames = 2000;  ///< of ours; then the connection ends
    static constexpr std::size_t max_continuations = 8;
    static constexpr std::size_t max_settings = 32;
    static constexpr std::size_t max_waiting_acks = 256;
    /// PING, SETTINGS, empty DATA, PRIORITY and unknown frames beyond this many for each frame of use cost the budget.
    static constexpr std::uint64_t small_talk = 4;
    static constexpr std::int32_t last_id = 1 << 30;  ///< a connection is used no more when its ids come here

    /// `heap`: of the library; null is malloc's.
    explicit Http2ClientSession(Http2ClientEvents& events, const Http2Heap* heap = nullptr);
    ~Http2ClientSession();
    Http2ClientSession(const Http2ClientSession&) = delete;
    Http2ClientSession& operator=(const Http2ClientSession&) = delete;

    /// Takes in bytes of the server, any cut.
    void feed(std::string_view bytes, TimePoint now);
    /// Writes frames into `out` while there are any and room for one; how many bytes.
    std::size_t write(std::span<char> out);
    /// `write` stopped for want of room.
    bool wants_room() const { return frames_.wants_room(); }
    /// The server may still say something of interest; once false it stays false, and what `write` has left is the end.
    bool wants_input() const;

    /// The server's first SETTINGS have come: it speaks HTTP/2, and its limits are known.
    bool greeted() const { return greeted_; }
    /// The server has acknowledged our SETTINGS.
    bool acknowledged() const { return acknowledged_; }
    /// So many streams may be open at once.
    unsigned allowed_streams() const;
    /// No more requests: the server said GOAWAY, or the connection is worn or failed.
    bool closing() const;
    /// It ended because of what the server sent.
    bool misbehaved() const;

    // All of these only note what is to be sent; `write` sends it.

    /// A request of the head as it is written for HTTP/1.1 (proxy/rewrite), and the first bytes of its body. What
    /// speaks of the connection is left out (section 8.2.2), Host becomes :authority. `data` must stay until
    /// `output_taken`, `head` need not. False: no memory.
    bool request(Http2ClientStream& stream, std::string_view head, std::string_view scheme, std::string_view data,
                 bool end, std::span<const Field> trailers);
    /// More of the body, only after `output_taken`. The same holds for its memory; `trailers` only with `end`.
    void send(Http2ClientStream& stream, std::string_view data, bool end, std::span<const Field> trailers);
    /// Ends the stream at once. What was to be sent is dropped and its memory free.
    void reset(Http2ClientStream& stream, Http2Code code);
    /// `size` bytes of a body were used: the server may send as many more.
    void consume(Http2ClientStream& stream, std::size_t size);
    /// The owner is about to destroy the stream; if it is not closed it is reset.
    void forget(Http2ClientStream& stream);
    void ping();
    /// Tells the server that the connection ends.
    void terminate(Http2Code code);

 private:
    template <class Session>
    friend struct Http2SharedCallbacks;
    struct Callbacks;
    void talk();
    void count_frames(std::string_view bytes);
    int take_field(Http2ClientStream& stream, std::string_view name, std::string_view value);
    void take_trailer(Http2ClientStream& stream, std::string_view name, std::string_view value);
    void head_ended(Http2ClientStream& stream, bool ended);
    void malformed(Http2ClientStream& stream);
    void trailers_follow(Http2ClientStream&) {}
    void put_data(Http2ClientStream& stream, const std::uint8_t* frame_head, std::size_t size) {
        frames_.put_data(frame_head, stream.out_.data, size);
    }
    void went_out(Http2ClientStream& stream, bool ended);
    void stream_closed(Http2ClientStream& stream, std::uint32_t code);
    void submit_reset(const Http2ClientStream& stream, Http2Code code);
    Http2ClientStream* find(std::int32_t id) const;

    Http2ClientEvents& events_;
    std::unique_ptr<nghttp2_session, Http2Delete> session_;
    TokenBucket budget_{200, 20};
    std::uint64_t useful_ = 0, talk_ = 0;  // frames
    std::array<unsigned char, 9> head_{};  // of the frame that is coming in
    std::uint32_t have_ = 0;               // bytes of it
    std::uint64_t skip_ = 0;               // bytes of payload before the next one
    TimePoint now_{};
    Http2FrameWriter frames_;
    bool greeted_ = false, acknowledged_ = false, going_away_ = false;
    bool terminated_ = false, misbehaved_ = false;
};

/// Fills `list` with the fields of a request head as it is written for HTTP/1.1; false when it is none. Views lie in
/// `head`.
bool http2_request_fields(std::string_view head, std::string_view scheme, Http2FieldList& list);

}  // namespace edgeproxy::http
