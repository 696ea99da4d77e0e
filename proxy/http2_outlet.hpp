// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>

#include "tls/io/buffer_pool.hpp"
#include "tls/stream.hpp"

namespace edgeproxy::proxy {

/// The way out of an HTTP/2 connection: what the session has to say gathers in one buffer that leaves at the end of the
/// loop's turn, or when it is full.
///
/// At most `most_unsent` bytes wait for the peer; while they do nothing more is put out. Holds no buffer while idle.
/// One reactor thread; destroyed after `join`.
class Http2Outlet final : io::BatchEnd {
 public:
    static constexpr std::size_t most_unsent = 64 * 1024 + 9;  ///< four DATA frames, then no room for another
    static constexpr unsigned most_gathered = 32;  ///< contributions; then the buffer leaves before the turn ends

    /// The session, seen from here.
    class Source {
     public:
        virtual std::size_t write(std::span<char> out) = 0;
        virtual bool wants_room() const = 0;
        /// The peer did not take all of it at once: the rest waits.
        virtual void waits() {}
        /// So many bytes went to the peer or, with an error (there is no memory, say), did not: it is `broken` from now
        /// on.
        virtual void sent(std::size_t, const io::error_code&) {}
        /// Something was gathered or sent, or could not be (`broken`).
        virtual void moved() = 0;

     protected:
        ~Source() = default;
    };

    Http2Outlet(tls::Stream& stream, Source& source) : stream_(stream), source_(source) {}

    /// The session has something to say: it goes into the buffer now and to the peer soon.
    void push();
    /// The same at the end of the turn only.
    void push_later() { stream_.socket().reactor().at_batch_end(*this); }
    /// The same, and at once.
    void push_now();
    /// Awaitable: everything goes to the peer; awaited before the end, at once. Needs no memory, and does not fail.
    auto join() {
        struct Join {
            io::Task<void>& flush;
            bool await_ready() { return !flush || flush.await_ready(); }
            void await_suspend(std::coroutine_handle<> parent) noexcept { flush.await_suspend(parent); }
            void await_resume() const noexcept { flush = {}; }
        };
        push_now();
        return Join{flush_};
    }
    /// Something waits for the peer.
    bool flushing() const { return flushing_; }
    /// Bytes of memory in use here.
    std::size_t held() const { return out_.size(); }
    /// The peer cannot be reached any more.
    bool broken() const { return broken_; }
    void give_up() { broken_ = true; }

 private:
    void batch_ended() override;
    void gather();
    void flush_now();
    void lose();
    io::Task<void> flush();

    tls::Stream& stream_;
    Source& source_;
    io::Buffer out_;
    std::size_t filled_ = 0;
    unsigned gathered_ = 0;
    io::Task<void> flush_;
    bool flushing_ = false, broken_ = false;
};

}  // namespace edgeproxy::proxy
