// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel.hpp"

namespace edgeproxy::proxy {
namespace {

/// After one side has ended the other may go on for so long.
constexpr io::Duration half_closed_timeout = std::chrono::seconds(60);

/// Both directions and the one clock that watches them.
class Joined final : io::Timer {
 public:
    Joined(io::Reactor& reactor, Exchange& client, Http1Client& endpoint, upstream::UpstreamConnection& connection,
           io::Duration idle)
        : reactor_(reactor), client_(client), endpoint_(endpoint), connection_(connection), idle_(idle) {}

    io::Task<void> run();

 private:
    io::Task<void> to_endpoint();
    io::Task<void> to_client();
    void moved() { last_ = reactor_.now(); }
    void watch() { reactor_.wheel().schedule(*this, io::deadline_after(last_, idle_)); }
    void expired(io::TimePoint now) override;
    void side_ended();
    void break_off();

    io::Reactor& reactor_;
    Exchange& client_;
    Http1Client& endpoint_;
    upstream::UpstreamConnection& connection_;
    io::Duration idle_;
    io::TimePoint last_{};
};

void Joined::expired(io::TimePoint now) {
    if (io::deadline_after(last_, idle_) <= now) return break_off();
    watch();
}

void Joined::break_off() {
    client_.cancel_body();
    connection_.socket().cancel();
}

void Joined::side_ended() {
    idle_ = idle_ > io::Duration::zero() ? std::min(idle_, half_closed_timeout) : half_closed_timeout;
    moved();
    watch();
}

io::Task<void> Joined::to_endpoint() {
    for (;;) {
        const auto piece = co_await client_.read_body();
        if (!piece) break;
        moved();
        if (piece->done) {
            connection_.stream().shutdown_write();
            side_ended();
            co_return;
        }
        const auto sent = co_await endpoint_.send(piece->data, {});
        if (!sent) break;
        co_await reactor_.yield();
    }
    break_off();
}

io::Task<void> Joined::to_client() {
    for (;;) {
        const auto piece = co_await endpoint_.read_raw();
        if (!piece) break;
        moved();
        const auto sent = co_await client_.send(piece->data, piece->done);
        if (!sent) break;
        if (piece->done) {
            side_ended();
            co_return;
        }
        co_await reactor_.yield();
    }
    break_off();
}

io::Task<void> Joined::run() {
    moved();
    watch();
    io::Task<void> up = to_endpoint();
    up.start();
    co_await to_client();
    co_await up;
}

}  // namespace

io::Task<void> run_tunnel(io::Reactor& reactor, Exchange& client, Http1Client& endpoint,
                          upstream::UpstreamConnection& connection, io::Duration idle) {
    Joined joined{reactor, client, endpoint, connection, idle};
    co_await joined.run();
}

}  // namespace edgeproxy::proxy
