// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "proxy/http/message.hpp"

namespace edgeproxy::proxy {

/// May this WebSocket handshake go on, by the page that asks for it? True when no origin is listed, or when the request
/// has none: then no browser asks, and whoever else does could write any (RFC 6455, section 10.2). `null`, a list, and
/// two Origin fields are no listed origin.
bool may_open_websocket(const http::Request& request, const std::vector<std::string>& allowed_origins);

/// A place among the WebSockets that a route may have open, from before its handshake is forwarded until it is over.
/// Given back by the destructor. Several reactors share one count; none of them ever sees it above its limit.
class TunnelPlace {
 public:
    TunnelPlace() = default;
    TunnelPlace(const TunnelPlace&) = delete;
    TunnelPlace& operator=(const TunnelPlace&) = delete;
    ~TunnelPlace() {
        if (open_ != nullptr) open_->fetch_sub(1, std::memory_order_relaxed);
    }

    /// False when `most` are open; `most` = 0 sets no limit. Once in its life.
    bool take(std::atomic<std::uint32_t>& open, std::uint32_t most);

 private:
    std::atomic<std::uint32_t>* open_ = nullptr;
};

}  // namespace edgeproxy::proxy
