// SPDX-License-Identifier: Apache-2.0
#include "upstream/connect.hpp"

#include <cerrno>
#include <utility>

#include "tls/client_context.hpp"
#include "tls/error.hpp"
#include "upstream/endpoint.hpp"

namespace edgeproxy::upstream {
namespace {

/// A unix backlog was full: how long until the next attempt.
constexpr auto backlog_pause = std::chrono::milliseconds(20);

bool is(const io::error_code& error, int number) {
    return error.category() == boost::system::system_category() && error.value() == number;
}

errc reason_of(const io::error_code& error) {
    if (error == io::errc::timed_out || is(error, ETIMEDOUT) || is(error, EAGAIN)) return errc::connect_timeout;
    if (error == io::errc::cancelled) return errc::cancelled;
    if (is(error, ECONNREFUSED) || is(error, ENOENT)) return errc::connect_refused;
    return errc::connect_failed;
}

errc reason_of_handshake(const io::error_code& error) {
    if (error == io::errc::timed_out) return errc::connect_timeout;
    if (error == io::errc::cancelled) return errc::cancelled;
    if (error.category() != tls::category()) return errc::tls_failed;
    switch (static_cast<tls::errc>(error.value())) {
        case tls::errc::certificate_untrusted:
            return errc::certificate_untrusted;
        case tls::errc::certificate_expired:
            return errc::certificate_expired;
        case tls::errc::certificate_wrong_host:
            return errc::certificate_wrong_host;
        case tls::errc::alert:
        case tls::errc::certificate_refused:
            return errc::tls_alert;
        default:
            return errc::tls_failed;
    }
}

}  // namespace

/// What a connect does with a fresh connection.
class Connector {
 public:
    Connector(Endpoint& endpoint, tls::Windows& windows, io::TimePoint deadline, bool http1_only)
        : endpoint_(endpoint), windows_(windows), deadline_(deadline), http1_only_(http1_only) {}

    /// The handshake, and which HTTP comes of it.
    io::Task<Result<void>> prepare(UpstreamConnection& connection) {
        const Transport& transport = endpoint_.identity().transport;
        const bool demanded = transport.http == Transport::Http::two && !http1_only_;
        connection.http2_ = demanded;
        if (!transport.tls) co_return Result<void>();
        const auto resumption = endpoint_.share(windows_.reactor().index()).resumption;
        const std::string_view offer = alpn_offer(http1_only_ ? Transport::Http::one : transport.http);
        const tls::ClientPeer peer{transport.host, offer, resumption};
        connection.socket().read_deadline(deadline_);
        const auto secured = co_await connection.stream().connect(*transport.tls, peer, windows_);
        if (!secured) co_return reason_of_handshake(secured.error());
        connection.socket().read_deadline(io::never);
        const bool chosen = connection.stream().alpn() == "h2";
        if (demanded && !chosen) co_return errc::no_http2;
        connection.http2_ = chosen;
        co_return Result<void>();
    }

 private:
    Endpoint& endpoint_;
    tls::Windows& windows_;
    const io::TimePoint deadline_;
    const bool http1_only_;
};

io::Task<Result<std::unique_ptr<UpstreamConnection>>> connect(Endpoint& endpoint, tls::Windows& windows,
                                                              PoolCells& cells, io::TimePoint deadline,
                                                              bool http1_only) {
    io::Reactor& reactor = windows.reactor();
    const io::TimePoint start = reactor.precise_now();
    for (;;) {
        auto socket = co_await io::connect(reactor, endpoint.address(), deadline);
        if (socket) {
            auto made = std::make_unique<UpstreamConnection>(std::move(*socket), endpoint.share(reactor.index()).cells);
            Connector connector{endpoint, windows, deadline, http1_only};
            const auto ready = co_await connector.prepare(*made);
            if (!ready) co_return ready.error();
            cells.connect_duration.observe(reactor.precise_now() - start);
            co_return made;
        }
        const bool full = is(socket.error(), EAGAIN) && endpoint.address().is_unix();
        if (!full || reactor.now() + backlog_pause >= deadline) co_return reason_of(socket.error());
        const auto slept = co_await io::Sleep(reactor, reactor.now() + backlog_pause);
        if (!slept) co_return errc::cancelled;
    }
}

}  // namespace edgeproxy::upstream
