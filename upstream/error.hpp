// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <cstddef>
#include <type_traits>

namespace edgeproxy::upstream {

using boost::system::error_code;
template <class T>
using Result = boost::system::result<T>;

/// Why a request got no answer, or no whole answer, from a pool. `proxy/local_reply` gives each its status, word and
/// retry rule.
///
/// The values are also the index of `EndpointCells::errors`, so `count` stays last.
enum class errc : int {
    queue_full = 1,          ///< as many requests wait as `queue.size` allows
    queue_timeout,           ///< ready endpoints stayed full for `queue.timeout`
    no_endpoint,             ///< no endpoint became ready within `hold`
    pool_down,               ///< nothing ready and the pool is crash looping, draining or stopped: waiting is no use
    cancelled,               ///< the caller asked to stop waiting (its client has gone)
    connect_refused,         ///< nobody listens at the endpoint: nothing was sent
    connect_timeout,         ///< connect outlived `timeouts.connect`: nothing was sent
    connect_failed,          ///< connect failed in another way (unreachable, no descriptor left): nothing was sent
    tls_failed,              ///< the endpoint does not speak TLS, or not ours; no request was sent
    tls_alert,               ///< it ended the handshake with an alert (it wants a certificate ...)
    certificate_untrusted,   ///< its certificate leads to no root that we believe
    certificate_expired,     ///< its certificate is not valid at this time
    certificate_wrong_host,  ///< its certificate is for another name
    no_http2,                ///< it does not speak HTTP/2, which `protocol` or h2c:// demands; no request was sent
    no_http1,        ///< an endpoint of HTTP/2 does not take a WebSocket handshake, which is HTTP/1.1; no fault of its
    refused_stream,  ///< the endpoint has not looked at the request and says so (HTTP/2)
    stale_connection,    ///< a kept-alive connection ended before one byte of the answer
    closed_early,        ///< a fresh connection ended in order before one byte of the answer
    reset,               ///< the endpoint reset the connection before the answer was whole
    response_timeout,    ///< no response head within `timeouts.response`
    idle_timeout,        ///< a gap in the response body longer than `timeouts.idle`
    write_timeout,       ///< the endpoint read nothing for `timeouts.write`
    bad_response,        ///< what came is not an HTTP answer that we can pass on
    response_truncated,  ///< the answer ended before its framing said so
    count,               ///< not an error: the number of values
};

/// The category `edgeproxy.upstream`; messages are the words of the log.
const boost::system::error_category& category() noexcept;
inline error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), category()};
}

/// The word of an error for logs and labels: its enumerator's name. Static storage.
const char* name(errc e) noexcept;

/// True when the request never left us, so that any method may be sent to another endpoint.
constexpr bool nothing_sent(errc e) noexcept {
    return e >= errc::connect_refused && e <= errc::no_http2;
}

inline constexpr std::size_t errc_count = static_cast<std::size_t>(errc::count);

}  // namespace edgeproxy::upstream

template <>
struct boost::system::is_error_code_enum<edgeproxy::upstream::errc> : std::true_type {};
