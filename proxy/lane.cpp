// SPDX-License-Identifier: Apache-2.0
#include "proxy/lane.hpp"

#include <algorithm>
#include <vector>

#include "proxy/connection.hpp"
#include "proxy/tunnel.hpp"
#include "tls/io/frame_pool.hpp"
#include "tls/io/large_blocks.hpp"

namespace edgeproxy::proxy {

void Lane::drain(io::Duration longest) {
    draining = true;
    patience = longest;
    for (Connection* connection = connections; connection != nullptr; connection = connection->next())
        connection->drain();
}

void Lane::close_tunnels(std::uint16_t code) {
    for (Tunnel* tunnel = tunnels; tunnel != nullptr; tunnel = tunnel->next()) tunnel->close(code);
}

void Lane::close_idle() {
    const io::TimePoint now = reactor.now();
    while (idle_first != nullptr && now - idle_first->idle_since() >= patience) idle_first->let_go();
}

void Lane::hurry_handshakes() {
    for (Connection* one = connections; one != nullptr; one = one->next()) {
        if (!one->handshake_since() || reactor.now() - *one->handshake_since() < handshake_patience) continue;
        cells->listener(one->plan().index).refuse(admin::Refusal::handshake_limit);
        one->socket().cancel();
    }
}

bool Lane::evict(admin::Limit why) {
    if (idle_first == nullptr) return false;
    cells->hit(why);
    idle_first->let_go();
    return true;
}

void Lane::evict_older(io::Duration idle, unsigned most, admin::Limit why) {
    const io::TimePoint now = reactor.now();
    while (most-- > 0 && idle_first != nullptr && now - idle_first->idle_since() >= idle) evict(why);
}

void Lane::cut(std::uint64_t bytes) {
    std::vector<Holding> holdings;
    for (Connection* connection = connections; connection != nullptr; connection = connection->next())
        connection->list_holdings(holdings);
    std::sort(holdings.begin(), holdings.end(), [](const Holding& a, const Holding& b) { return a.bytes > b.bytes; });
    for (const Holding& holding : holdings) {
        if (bytes == 0) break;
        cells->hit(admin::Limit::memory_cutting);
        if (holding.stream != nullptr) {
            holding.connection->cut_stream(*holding.stream);
        } else {
            holding.connection->cut();
        }
        bytes -= std::min<std::uint64_t>(bytes, holding.bytes);
    }
}

void Lane::settle() {
    reactor.buffers().settle();
    workspaces.settle();
    answers.settle();
    io::FramePool::settle();
    io::LargeBlocks::settle();
}

void Lane::judge(Pressure now, bool lagging) {
    pressure = now;
    lags = lagging;
    guarded = pressure >= Pressure::refusing || lags || (limits != nullptr && limits->requests().limits());
    if (pressure == Pressure::none) return;
    reactor.buffers().trim();
    reactor.pipes().trim();
    workspaces.trim();
    answers.trim();
    io::FramePool::trim();
    io::LargeBlocks::trim();
}

}  // namespace edgeproxy::proxy
