// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <utility>

#include "tls/io/reactor.hpp"
#include "upstream/endpoint.hpp"
#include "upstream/occupant.hpp"

namespace edgeproxy::upstream {

class Pool;
class AdmitWait;
class AdmitOperation;
struct PoolShare;

/// A tunnel's stay at an endpoint (after 101 or an extended CONNECT): keeps the endpoint from being drained, takes no
/// place. RAII.
class Tunnel {
 public:
    Tunnel() = default;
    Tunnel(Tunnel&& other) noexcept
        : pool_(other.pool_), endpoint_(std::exchange(other.endpoint_, nullptr)), home_(other.home_) {}
    Tunnel& operator=(Tunnel&& other) noexcept;
    ~Tunnel() { end(); }

    explicit operator bool() const { return endpoint_ != nullptr; }
    Endpoint& endpoint() const { return *endpoint_; }
    void end();

 private:
    friend class Admission;
    Tunnel(Pool& pool, Endpoint& endpoint, std::size_t home) : pool_(&pool), endpoint_(&endpoint), home_(home) {}
    Pool* pool_ = nullptr;
    Endpoint* endpoint_ = nullptr;
    std::size_t home_ = 0;
};

/// A place at an endpoint for one request. RAII: given back in the destructor, which hands it to whoever waits.
///
/// Keeps the endpoint alive. Used and destroyed on the reactor that admitted it. Connections are taken and given back
/// while it is held.
class [[nodiscard]] Admission {
 public:
    Admission() = default;
    Admission(Admission&& other) noexcept
        : pool_(other.pool_), endpoint_(std::exchange(other.endpoint_, nullptr)), home_(other.home_) {}
    Admission& operator=(Admission&& other) noexcept;
    ~Admission() { release(); }

    explicit operator bool() const { return endpoint_ != nullptr; }
    Endpoint& endpoint() const { return *endpoint_; }
    Pool& pool() const { return *pool_; }
    EndpointShare& share() const { return endpoint_->share(home_); }
    EndpointCells& cells() const { return share().cells; }

    /// A kept-alive connection (counted as reused), or null: then `connect`. See IdleConnections::take.
    std::unique_ptr<UpstreamConnection> take_idle(io::Duration idle_at_most = io::Duration::max());
    /// A fresh connection; counts. A refusal is not yet reported: that is `failed`.
    /// See upstream::connect.
    io::Task<Result<std::unique_ptr<UpstreamConnection>>> connect(tls::Windows& windows, io::TimePoint deadline,
                                                                  bool http1_only = false);
    /// After a whole answer that allows it. REQUIRES: no operation pending on it.
    void give_back(std::unique_ptr<UpstreamConnection> connection);

    /// The endpoint answered: `status` of the final response, `duration` from the request being sent to its head. 502,
    /// 503 and 504 count as failures for passive health, everything else clears its record.
    void answered(unsigned status, io::Duration duration);
    /// The endpoint did not answer, or not wholly. Counts; passive health hears of it unless it says nothing about the
    /// endpoint (stale_connection, cancelled, no_http1). A worker that refuses is not chosen again
    /// until it is known to live.
    void failed(errc reason);

    /// `occupant.cut()` is called when the endpoint's drain deadline passes, until it leaves, is destroyed or occupies
    /// another. Stays in force over `to_tunnel`.
    void occupy(Occupant& occupant) const;

    /// Gives the place back now.
    void release();
    /// Gives the place back and stays as a tunnel. Empty afterwards.
    Tunnel to_tunnel();

 private:
    friend class AdmitOperation;
    Admission(Pool& pool, Endpoint& endpoint, std::size_t home) : pool_(&pool), endpoint_(&endpoint), home_(home) {}
    void note_failure();

    Pool* pool_ = nullptr;
    Endpoint* endpoint_ = nullptr;
    std::size_t home_ = 0;
};

/// How somebody on the same reactor ends a wait for a place early (the client has gone). Stays cancelled.
class AdmitCancel {
 public:
    AdmitCancel() = default;
    AdmitCancel(const AdmitCancel&) = delete;
    AdmitCancel& operator=(const AdmitCancel&) = delete;
    void cancel();
    bool cancelled() const { return cancelled_; }

 private:
    friend class AdmitWait;
    AdmitWait* wait_ = nullptr;
    bool cancelled_ = false;
};

struct AdmitHints {
    EndpointId avoid = 0;           ///< taken only if there is no other: it has just failed this request
    AdmitCancel* cancel = nullptr;  ///< outlives the wait
};

/// The slow half of an AdmitOperation: a stand in the pool's line. Destroyed while it waits it leaves the line; a place
/// that was on its way to it is passed on.
class AdmitWait final : io::Wait, io::Timer, Waiter, public io::Pooled {
 public:
    AdmitWait(Pool& pool, io::Reactor& reactor, const AdmitHints& hints);
    ~AdmitWait();

    /// Joins the line. False when the line is full: `failure()` says so.
    bool join(std::coroutine_handle<> handle);
    /// After it was resumed: the place, or null and `failure()`.
    Endpoint* take_endpoint() { return std::exchange(endpoint, nullptr); }
    errc failure() const { return error; }
    io::Duration length() const { return reactor_.now() - since_; }

 private:
    friend class Pool;
    friend class AdmitCancel;
    void cancel() override { give_up(errc::cancelled); }
    void expired(io::TimePoint now) override;
    void settled();
    void give_up(errc reason);
    void leave_line();
    void give_back();
    void rearm(io::TimePoint now);

    Pool& pool_;
    io::Suspended suspended_;
    AdmitCancel* const cancel_;
    const io::TimePoint since_;
};

/// The awaitable of Pool::admit. Takes a place at once if nobody waits and some endpoint has room; otherwise stands in
/// the pool's line. May be destroyed while it waits.
class [[nodiscard]] AdmitOperation {
 public:
    AdmitOperation(Pool& pool, io::Reactor& reactor, const AdmitHints& hints);
    ~AdmitOperation();
    AdmitOperation(const AdmitOperation&) = delete;
    AdmitOperation& operator=(const AdmitOperation&) = delete;

    bool await_ready();
    bool await_suspend(std::coroutine_handle<> handle);
    Result<Admission> await_resume();

 private:
    void end_wait();
    Result<Admission> failed() const;

    Pool& pool_;
    PoolShare& share_;
    io::Reactor& reactor_;
    const AdmitHints hints_;
    Endpoint* endpoint_ = nullptr;
    errc error_{};
    std::unique_ptr<AdmitWait> wait_;  ///< made only when it has to wait
};

}  // namespace edgeproxy::upstream
