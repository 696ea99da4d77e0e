// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "proxy/admin/exchange_record.hpp"
#include "proxy/http/body_reader.hpp"
#include "proxy/http/message.hpp"
#include "proxy/input.hpp"
#include "tls/io/socket.hpp"

namespace edgeproxy::tls {
class Stream;
}

namespace edgeproxy::proxy {

/// The head of an answer on its way to a client, free of any HTTP version: no framing among `fields`, and no
/// hop-by-hop field but the Upgrade of a 426.
///
/// Views live until the call that sends it has finished. Large (the fields): pooled, never on a coroutine's frame.
struct ResponseHead {
    unsigned status = 0;
    std::string_view reason;  ///< may be empty
    http::Body body;          ///< none, length, or chunked for "unknown before the end"
    http::Fields fields;

    void reset() {
        status = 0;
        reason = {};
        body = {};
        fields.clear();
    }
};

/// Bytes of a body, in order. Valid until the next call that reads the same body.
struct BodyPiece {
    std::string_view data;
    bool done = false;         ///< nothing follows
    io::Pipe* pipe = nullptr;  ///< the bytes are in it, and `data` is empty

    std::size_t size() const { return pipe != nullptr ? pipe->held() : data.size(); }
};

/// A connection whose bytes are a tunnel's from now on.
struct TunnelEnd {
    tls::Stream* stream = nullptr;  ///< null = none
    Input input;                    ///< what was read of it already
};

/// A body with more than this to go, between two plain connections and with its length known, is spliced: its bytes
/// go through a pipe and never enter our memory.
inline constexpr std::uint64_t spliced_from = 64 * 1024;

/// What a client goes on sending when we have said our last words to it: so much, for so long, is still taken in, lest
/// a reset destroy them.
inline constexpr std::size_t linger_bytes = 256 * 1024;
inline constexpr io::Duration linger_time = std::chrono::seconds(2);

/// Why nobody took the answer: `error` of the log, `reason` of the metrics.
namespace loss {
inline constexpr std::string_view client_gone = "client_gone";      ///< it went away by itself
inline constexpr std::string_view response_rate = "response_rate";  ///< it read too slowly: `limits.response_rate`
inline constexpr std::string_view write_timeout = "write_timeout";  ///< it read nothing: `timeouts.write`
inline constexpr std::string_view memory = "memory_cutting";        ///< memory was short, and this held much of it
inline constexpr std::array all{client_gone, response_rate, write_timeout, memory};
}  // namespace loss

/// One request of a client and its answer, whatever the version of HTTP.
///
/// Implemented by Http1Exchange and Http2Exchange, used by everything that answers. The answer is `respond`, then
/// `send` until `end`; an answer that cannot be finished is `abort`ed, so that the client never takes it for whole.
/// Whoever reads slower than somebody writes makes them wait: that is the backpressure. One reactor thread; lives until
/// the coroutine that serves it returns.
class Exchange {
 public:
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// The request head. Its views live as long as the exchange.
    virtual const http::Request& request() const = 0;

    /// What is already here of the request body, without waiting, to be sent together with the head. May be empty;
    /// `done` when that is all of it.
    virtual BodyPiece body_at_hand() = 0;
    /// The next bytes of the request body (in a tunnel: of what the client sends). Fails when the client breaks off, is
    /// too slow
    /// (`io::errc::timed_out`), or its framing is malformed (`body_error` tells).
    virtual io::Task<io::Result<BodyPiece>> read_body() = 0;
    /// Who gets the pieces of the body takes pipes too.
    void allow_pipes(bool allowed) { pipes_allowed_ = allowed; }
    /// Nobody wants the rest of the body: a pending `read_body` and every later one ends with `io::errc::cancelled`.
    void cancel_body() {
        body_cancelled_ = true;
        stop_reading();
    }
    /// Why the body is malformed, or ok.
    virtual http::errc body_error() const { return http::errc::ok; }
    /// Trailer fields of the request, once its body is done.
    virtual std::span<const http::Field> request_trailers() const { return {}; }

    /// An interim answer (1xx other than 101). Does nothing for a client that cannot take one.
    virtual io::Task<io::Result<void>> interim(const ResponseHead& head) = 0;
    /// The final head, with the first bytes of the body. `end`: that is all of it.
    virtual io::Task<io::Result<void>> respond(const ResponseHead& head, std::string_view data, bool end) = 0;
    /// The next bytes of the body. `trailers` only with the last ones.
    virtual io::Task<io::Result<void>> send(BodyPiece piece, std::span<const http::Field> trailers = {}) = 0;
    /// After `respond`: what `send` gets leaves just as it is, so it may come in a pipe.
    virtual bool takes_pipes() const { return false; }
    /// After `respond`: breaks the answer off in a way that the client can tell from a clean end.
    virtual void abort() = 0;
    /// The answer has begun.
    bool responded() const { return responded_; }
    /// A tunnel, before a WebSocket handshake is answered by 101.
    virtual void become_tunnel() = 0;
    /// After that answer: the connection, where all of it is the tunnel's. Else (a stream of HTTP/2) there is none, and
    /// `read_body` and `send` carry the tunnel's bytes.
    virtual TunnelEnd tunnel_end() { return {}; }
    /// Of a tunnel, once it was answered: the request has done its service, what it takes may go. If it did
    /// (`is_shed`), nobody may ask for it, or for the Workspace it was served with. `record` is what the log is to say,
    /// which is kept then; null = nothing.
    virtual void shed_request(const admin::ExchangeRecord* /*record*/) {}
    /// What was kept, with the figures as they are now; null = nothing.
    virtual const admin::ExchangeRecord* kept_record() { return nullptr; }
    bool is_shed() const { return shed_; }

    /// Who wants to know that the client has gone away while nobody reads or writes (to stop work for it).
    struct Watcher {
        virtual void client_gone() = 0;
        /// Bytes of memory that it holds for the exchange.
        virtual std::size_t held() const { return 0; }

     protected:
        ~Watcher() = default;
    };
    void watch(Watcher* watcher) { watcher_ = watcher; }
    bool client_gone() const { return gone_; }
    /// Why, as the log and the metrics have it: it went by itself, or we gave it up (a word of `loss`).
    virtual std::string_view loss() const { return loss::client_gone; }
    /// Bytes of memory that whoever watches holds.
    std::size_t watcher_holds() const { return watcher_ != nullptr ? watcher_->held() : 0; }

    /// What the metrics and the log will say; filled by whoever knows.
    admin::ExchangeFigures figures{};

 protected:
    Exchange() = default;
    ~Exchange() = default;
    /// Ends a pending read of the body.
    virtual void stop_reading() = 0;
    bool body_cancelled() const { return body_cancelled_; }
    bool pipes_allowed() const { return pipes_allowed_; }
    void tell_gone() {
        gone_ = true;
        if (watcher_ != nullptr) watcher_->client_gone();
    }
    bool responded_ = false;
    bool shed_ = false;

 private:
    Watcher* watcher_ = nullptr;
    bool gone_ = false;
    bool body_cancelled_ = false;
    bool pipes_allowed_ = false;
};

}  // namespace edgeproxy::proxy
