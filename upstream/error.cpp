// SPDX-License-Identifier: Apache-2.0
#include "upstream/error.hpp"

#include <array>
#include <string>

namespace edgeproxy::upstream {
namespace {

constexpr std::array<const char*, errc_count> names{
    "ok",
    "queue_full",
    "queue_timeout",
    "no_endpoint",
    "pool_down",
    "cancelled",
    "connect_refused",
    "connect_timeout",
    "connect_failed",
    "tls_failed",
    "tls_alert",
    "certificate_untrusted",
    "certificate_expired",
    "certificate_wrong_host",
    "no_http2",
    "no_http1",
    "refused_stream",
    "stale_connection",
    "closed_early",
    "reset",
    "response_timeout",
    "idle_timeout",
    "write_timeout",
    "bad_response",
    "response_truncated",
};
static_assert(names.back() != nullptr, "every errc has a name");

class Category final : public boost::system::error_category {
 public:
    const char* name() const noexcept override { return "edgeproxy.upstream"; }
    std::string message(int value) const override { return upstream::name(static_cast<errc>(value)); }
};

}  // namespace

const boost::system::error_category& category() noexcept {
    static const Category instance;
    return instance;
}

const char* name(errc e) noexcept {
    const auto index = static_cast<std::size_t>(e);
    return index < names.size() ? names[index] : "unknown";
}

}  // namespace edgeproxy::upstream
