// SPDX-License-Identifier: Apache-2.0
#include "upstream/admission.hpp"

#include <algorithm>
#include <cassert>

#include "upstream/connect.hpp"
#include "upstream/pool.hpp"

namespace edgeproxy::upstream {

// ---- Tunnel

Tunnel& Tunnel::operator=(Tunnel&& other) noexcept {
    if (this != &other) {
        end();
        pool_ = other.pool_;
        endpoint_ = std::exchange(other.endpoint_, nullptr);
        home_ = other.home_;
    }
    return *this;
}

void Tunnel::end() {
    Endpoint* const endpoint = std::exchange(endpoint_, nullptr);
    if (endpoint == nullptr) return;
    const EndpointId id = endpoint->id();  // once the gate is left the endpoint may be freed
    pool_->left(endpoint->gate().release_tunnel(), id, home_);
}

// ---- Admission

Admission& Admission::operator=(Admission&& other) noexcept {
    if (this != &other) {
        release();
        pool_ = other.pool_;
        endpoint_ = std::exchange(other.endpoint_, nullptr);
        home_ = other.home_;
    }
    return *this;
}

void Admission::release() {
    Endpoint* const endpoint = std::exchange(endpoint_, nullptr);
    if (endpoint == nullptr) return;
    const EndpointId id = endpoint->id();  // once the gate is left the endpoint may be freed
    pool_->left(endpoint->gate().release(), id, home_);
}

Tunnel Admission::to_tunnel() {
    Endpoint& endpoint = *std::exchange(endpoint_, nullptr);  // alive: now by its tunnel
    endpoint.share(home_).cells.tunnels_opened.add();
    pool_->left(endpoint.gate().to_tunnel(), endpoint.id(), home_);
    return Tunnel{*pool_, endpoint, home_};
}

std::unique_ptr<UpstreamConnection> Admission::take_idle(io::Duration idle_at_most) {
    auto connection = share().idle.take(idle_at_most);
    if (connection) cells().reused.add();
    return connection;
}

io::Task<Result<std::unique_ptr<UpstreamConnection>>> Admission::connect(tls::Windows& windows, io::TimePoint deadline,
                                                                         bool http1_only) {
    return upstream::connect(*endpoint_, windows, pool_->cells(home_), deadline, http1_only);
}

void Admission::give_back(std::unique_ptr<UpstreamConnection> connection) {
    share().idle.give(std::move(connection), pool_->share(home_).settings.keepalive);
}

void Admission::answered(unsigned status, io::Duration duration) {
    EndpointCells& counted = cells();
    counted.count_response(status);
    counted.response_duration.observe(duration);
    if (status >= 502 && status <= 504) {
        note_failure();
    } else {
        endpoint_->streak().succeed();
    }
}

void Admission::failed(errc reason) {
    cells().count_error(reason);
    switch (reason) {
        case errc::stale_connection:
        case errc::cancelled:
        case errc::no_http1:
            return;
        default:
            break;
    }
    // A worker is alone behind its socket: if nobody listens it is dead or dying, and the master will say which.
    if (reason == errc::connect_refused && endpoint_->is_worker()) {
        if (endpoint_->gate().suspect() && pool_->reports_.refused) pool_->reports_.refused(endpoint_->id());
        return;
    }
    note_failure();
}

void Admission::occupy(Occupant& occupant) const {
    pool_->share(home_).occupants.enter(occupant, endpoint_->id());
}

void Admission::note_failure() {
    const config::Outlier& policy = pool_->share(home_).settings.outlier;
    if (!policy.enabled) return;
    if (endpoint_->streak().fail(pool_->reactors_[home_]->now(), policy) && pool_->reports_.failing)
        pool_->reports_.failing(endpoint_->id());
}

// ---- waiting

void AdmitCancel::cancel() {
    cancelled_ = true;
    if (wait_ != nullptr) wait_->cancel();
}

AdmitWait::AdmitWait(Pool& pool, io::Reactor& reactor, const AdmitHints& hints)
    : Wait(reactor), Waiter(reactor.index(), hints.avoid), pool_(pool), cancel_(hints.cancel), since_(reactor.now()) {}

AdmitWait::~AdmitWait() {
    if (waiting()) leave_line();
    // Between the grant and its resumption no frame may be destroyed (the reactor holds its handle), so the place was
    // taken.
    assert(endpoint == nullptr);
}

bool AdmitWait::join(std::coroutine_handle<> handle) {
    if (!pool_.line_.join(*this)) {
        error = errc::queue_full;
        return false;
    }
    suspended_.handle = handle;
    begin(suspended_);
    if (cancel_ != nullptr) cancel_->wait_ = this;
    // Look again, now that every release knows that somebody waits. Others of this home may have got theirs as well.
    if (pool_.line_.pump(home)) pool_.collect(home);
    if (waiting()) rearm(since_);
    return true;
}

void AdmitWait::settled() {
    reactor_.wheel().cancel(*this);
    if (cancel_ != nullptr) cancel_->wait_ = nullptr;
    complete();
}

void AdmitWait::expired(io::TimePoint now) {
    if (waiting()) rearm(now);
}

void AdmitWait::give_up(errc reason) {
    if (!waiting()) return;
    leave_line();
    error = reason;
    settled();
}

void AdmitWait::leave_line() {
    if (cancel_ != nullptr) cancel_->wait_ = nullptr;
    if (pool_.line_.leave(*this) && endpoint != nullptr) give_back();  // granted in the meantime: the next gets it
}

void AdmitWait::give_back() {
    Endpoint& granted = *std::exchange(endpoint, nullptr);
    const EndpointId id = granted.id();
    pool_.left(granted.gate().release(), id, home);
}

// Gives up when the time for the pool's present condition is over, else sets the timer. Conditions change while we wait
// and no condition is shorter than `look`, so looking that often finds each limit exactly.
void AdmitWait::rearm(io::TimePoint now) {
    const PoolSettings& settings = pool_.share(home).settings;
    const io::Duration full = settings.queue.timeout, hold = settings.hold;
    const bool ready = pool_.has_ready();
    const io::TimePoint changed{io::TimePoint::duration(pool_.ready_changed_.load(std::memory_order_seq_cst))};
    const io::TimePoint due = std::max(since_, changed) + (ready ? full : hold);
    const io::TimePoint last = since_ + full + hold;

    if (!ready && pool_.given_up()) return give_up(errc::pool_down);
    if (std::min(due, last) <= now) return give_up(ready ? errc::queue_timeout : errc::no_endpoint);
    const io::TimePoint look = now + std::max<io::Duration>(std::min(full, hold), io::TimerWheel::tick);
    reactor_.wheel().schedule(*this, std::min({due, last, look}));
}

// ---- AdmitOperation

AdmitOperation::AdmitOperation(Pool& pool, io::Reactor& reactor, const AdmitHints& hints)
    : pool_(pool), share_(pool.share(reactor.index())), reactor_(reactor), hints_(hints) {}

AdmitOperation::~AdmitOperation() = default;

bool AdmitOperation::await_ready() {
    if (hints_.cancel != nullptr && hints_.cancel->cancelled()) {
        error_ = errc::cancelled;
        return true;
    }
    if (pool_.line_.occupied()) return false;  // no overtaking
    endpoint_ = share_.list.enter(share_.balancer, hints_.avoid, reactor_.now());
    if (endpoint_ == nullptr) return false;
    share_.cells.admitted_at_once.add();
    return true;
}

bool AdmitOperation::await_suspend(std::coroutine_handle<> handle) {
    wait_ = std::make_unique<AdmitWait>(pool_, reactor_, hints_);
    if (!wait_->join(handle)) return false;
    share_.cells.waited.add();
    return true;
}

Result<Admission> AdmitOperation::await_resume() {
    if (wait_) end_wait();
    if (endpoint_ == nullptr) return failed();
    endpoint_->share(share_.home).requests.add();
    return Admission{pool_, *endpoint_, share_.home};
}

void AdmitOperation::end_wait() {
    endpoint_ = wait_->take_endpoint();
    error_ = wait_->failure();
    if (error_ != errc::queue_full) share_.cells.queue_duration.observe(wait_->length());
}

Result<Admission> AdmitOperation::failed() const {
    share_.cells.errors[static_cast<std::size_t>(error_)].add();
    return error_;
}

}  // namespace edgeproxy::upstream
