// SPDX-License-Identifier: Apache-2.0
#include "upstream/endpoint.hpp"

#include <stdexcept>
#include <utility>

namespace edgeproxy::upstream {

Transport::Http http_of(config::PoolProtocol protocol) {
    switch (protocol) {
        case config::PoolProtocol::http1:
            return Transport::Http::one;
        case config::PoolProtocol::automatic:
            return Transport::Http::either;
        case config::PoolProtocol::h2c:
        case config::PoolProtocol::h2:
            break;
    }
    return Transport::Http::two;
}

std::string_view alpn_offer(Transport::Http http) {
    if (http == Transport::Http::one) return tls::offer_http1;
    return http == Transport::Http::two ? tls::offer_h2 : tls::offer_both;
}

Endpoint::Endpoint(EndpointIdentity identity, std::uint32_t limit, std::span<io::Reactor* const> reactors,
                   std::span<EndpointCells> cells)
    : hot_(limit), identity_(std::move(identity)), address_(io::SocketAddress::from_literal(identity_.address)) {
    if (address_.size == 0) throw std::invalid_argument("endpoint " + identity_.name + ": not a literal address");
    for (std::size_t i = 0; i < reactors.size(); ++i)
        shares_.push_back(std::make_unique<EndpointShare>(*reactors[i], cells[i]));
    if (!identity_.transport.tls) return;
    for (const auto& share : shares_) share->resumption = std::make_shared<tls::Resumption>();
}

io::TimePoint Endpoint::begin_slow_start(io::TimePoint now) {
    hot_.slow_start.begin(now);
    hot_.gate.set_cold(true);
    return now + std::chrono::duration_cast<io::TimePoint::duration>(SlowStart::length);
}

std::uint64_t Endpoint::requests() const {
    std::uint64_t sum = 0;
    for (const auto& share : shares_) sum += share->requests.value();
    return sum;
}

std::uint32_t Endpoint::idle_connections() const {
    std::uint32_t sum = 0;
    for (const auto& share : shares_) sum += share->idle.size();
    return sum;
}

}  // namespace edgeproxy::upstream
